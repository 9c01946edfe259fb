export function People(_: { cluster: string | null }) { return null; }
