/** Files that are dropped or chosen, folders with all that is in them. */

const VIDEO_ENDINGS =
  /\.(mp4|m4v|mov|mkv|webm|avi|wmv|asf|flv|f4v|ts|m2ts|mts|mpg|mpeg|m2v|vob|3gp|3g2|ogv|mxf|dav|h264|h265|264|265|hevc|mjpeg|mjpg|rm|rmvb|dv|nut)$/i;

export function looksLikeVideo(file: File): boolean {
  return file.type.startsWith('video/') || VIDEO_ENDINGS.test(file.name);
}

export function holdsFiles(event: DragEvent): boolean {
  return event.dataTransfer?.types.includes('Files') ?? false;
}

async function walk(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) {
    return [await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const files: File[] = [];
  for (;;) {
    // A reader gives at most a hundred entries at a time.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return files;
    for (const inner of some) files.push(...(await walk(inner)));
  }
}

/** All files of a drop. */
export async function dropped(transfer: DataTransfer): Promise<File[]> {
  // Entries are gone once the event is over: take all of them before the first wait.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  if (entries.length === 0) return [...transfer.files];
  const files: File[] = [];
  for (const entry of entries) files.push(...(await walk(entry)));
  return files;
}
