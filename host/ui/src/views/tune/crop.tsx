/**
 * The picture of an object that is not in the archive: cut out of the frame that it was seen in.
 */
import { useEffect, useRef, useState } from 'preact/hooks';
import { isAbort, plain } from '../../lib/api';
import { Icon, typeIcon } from '../../parts/icon';

/** Of the box, on each side. */
const MARGIN = 0.25;
const MOST_FRAMES = 24;

const frames = new Map<string, Promise<ImageBitmap>>();
let queue: Promise<unknown> = Promise.resolve();

/** One frame at a time: the server decodes each from the key frame before it. */
function frame(video: number, time: number): Promise<ImageBitmap> {
  const path = `/videos/${video}/frame/?time=${time.toFixed(3)}`;
  const there = frames.get(path);
  if (there) return there;
  const read = queue.then(async () => createImageBitmap(await (await plain(path)).blob()));
  queue = read.catch(() => {});
  frames.set(path, read);
  read.catch(() => frames.delete(path));
  const oldest = frames.keys().next().value;
  if (frames.size > MOST_FRAMES && oldest) frames.delete(oldest);
  return read;
}

export function Crop({ video, time, bbox, type }: { video: number; time: number; bbox: number[]; type: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    let gone = false;
    frame(video, time).then(
      (picture) => {
        const element = canvas.current;
        if (gone || !element) return;
        const [left = 0, top = 0, right = 0, bottom = 0] = bbox;
        const across = (right - left) * MARGIN;
        const down = (bottom - top) * MARGIN;
        const x = Math.max(0, left - across);
        const y = Math.max(0, top - down);
        const width = Math.min(picture.width, right + across) - x;
        const height = Math.min(picture.height, bottom + down) - y;
        element.width = Math.max(1, Math.round(width));
        element.height = Math.max(1, Math.round(height));
        element.getContext('2d')?.drawImage(picture, x, y, width, height, 0, 0, element.width, element.height);
      },
      (cause: unknown) => !isAbort(cause) && !gone && setFailed(true),
    );
    return () => {
      gone = true;
    };
  }, [video, time, bbox.join()]);
  return (
    <span class="picture picture-contain thumbnail">
      {failed ? <Icon name={typeIcon(type)} size={24} /> : <canvas ref={canvas} class="crop" width={1} height={1} />}
    </span>
  );
}
