export function Tune(_: { id: number | null }) { return null; }
