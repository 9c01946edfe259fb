/** A line of the last values of a number, as small as a word. */
const WIDTH = 120;
const HEIGHT = 28;
/** Half of the line's width, so that nothing is cut off at the edges. */
const EDGE = 1;

export function Spark({ values, most, label }: { values: readonly number[]; most: number; label: string }) {
  const highest = Math.max(1, ...values);
  const step = (WIDTH - 2 * EDGE) / (most - 1);
  // The newest stands at the right edge.
  const first = WIDTH - EDGE - (values.length - 1) * step;
  const points = values.map((value, i) => {
    const y = HEIGHT - EDGE - (value / highest) * (HEIGHT - 2 * EDGE);
    return `${(first + i * step).toFixed(1)},${y.toFixed(1)}`;
  });
  return (
    <svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
      <polyline points={points.join(' ')} />
    </svg>
  );
}
