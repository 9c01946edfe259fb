export function VideoView(_: { id: number }) { return null; }
