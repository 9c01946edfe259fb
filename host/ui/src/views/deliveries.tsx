export function Deliveries(_: { id: number | null }) { return null; }
