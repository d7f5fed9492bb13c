import type { TrainingEvent } from '../api/types';
import { formatCount, formatValue } from '../format';

const SHOWN = ['loss', 'fvu', 'l0', 'dead'];
const WIDTH = 240;
const HEIGHT = 64;

interface Curve {
  name: string;
  points: { step: number; value: number }[];
}

/** The curves among the events' numbers that are worth a look first. */
export function curvesOf(events: TrainingEvent[]): Curve[] {
  return SHOWN.map((name) => ({
    name,
    points: events.flatMap((event) => {
      const step = event['step'];
      const value = event[name];
      const fine = typeof step === 'number' && typeof value === 'number' && Number.isFinite(value);
      return fine ? [{ step, value }] : [];
    }),
  })).filter((curve) => curve.points.length > 1);
}

function pathOf({ points }: Curve): string {
  const values = points.map((point) => point.value);
  const low = Math.min(...values);
  const range = Math.max(...values) - low || 1;
  const first = points[0]?.step ?? 0;
  const span = (points.at(-1)?.step ?? 0) - first || 1;
  return points
    .map(({ step, value }, i) => {
      const x = ((step - first) / span) * WIDTH;
      const y = HEIGHT - 3 - ((value - low) / range) * (HEIGHT - 6);
      return `${i === 0 ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`;
    })
    .join('');
}

export function TrainingCurves({ events }: { events: TrainingEvent[] }) {
  return (
    <div className="curves">
      {curvesOf(events).map((curve) => {
        const last = curve.points.at(-1);
        const label = `${curve.name}: ${formatValue(last?.value)} at step ${formatCount(last?.step ?? 0)}`;
        return (
          <figure key={curve.name}>
            <figcaption>{label}</figcaption>
            <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={label}>
              <path d={pathOf(curve)} vectorEffect="non-scaling-stroke" />
            </svg>
          </figure>
        );
      })}
    </div>
  );
}
