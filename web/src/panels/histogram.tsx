import { useState } from 'react';
import type { Histogram } from '../api/types';
import { formatCount, formatValue } from '../format';
import { setSearch, useSearch } from '../router';
import { Panel } from '../ui/panel';

const WIDTH = 320;
const HEIGHT = 96;

/** Height of a bar from 0 to 1; on the log scale one firing is already visible. */
export function barHeight(count: number, most: number, log: boolean): number {
  if (count === 0 || most === 0) return 0;
  return log ? Math.log1p(count) / Math.log1p(most) : count / most;
}

function binText({ max, counts }: Histogram, bin: number): string {
  const step = max / counts.length;
  const count = counts[bin] ?? 0;
  return `${formatValue(bin * step)} to ${formatValue((bin + 1) * step)}: ${formatCount(count)} firings`;
}

function Bars({
  histogram,
  log,
  onBin,
}: {
  histogram: Histogram;
  log: boolean;
  onBin: (bin: number | null) => void;
}) {
  const { counts, max } = histogram;
  const most = Math.max(...counts);
  const width = WIDTH / counts.length;
  const fullest = counts.indexOf(most);
  const label =
    `Histogram of ${formatCount(counts.reduce((a, b) => a + b, 0))} activations in ${counts.length} ` +
    `equal bins up to ${formatValue(max)}. The fullest bin is ${binText(histogram, fullest)}.`;
  return (
    <svg
      className="histogram"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
      onPointerMove={(event) => {
        const box = event.currentTarget.getBoundingClientRect();
        const bin = Math.floor(((event.clientX - box.left) / box.width) * counts.length);
        onBin(bin >= 0 && bin < counts.length ? bin : null);
      }}
      onPointerLeave={() => onBin(null)}
    >
      {counts.map((count, bin) => {
        const height = barHeight(count, most, log) * HEIGHT;
        return (
          <g key={bin} className="bin">
            <rect className="hit" x={bin * width} y={0} width={width} height={HEIGHT} />
            <rect x={bin * width} y={HEIGHT - height} width={width * 0.86} height={height} />
          </g>
        );
      })}
    </svg>
  );
}

export function HistogramPanel({ histogram }: { histogram: Histogram }) {
  const [bin, setBin] = useState<number | null>(null);
  const log = useSearch().get('counts') === 'log';
  if (histogram.max === 0) return null;
  return (
    <Panel
      id="histogram"
      title="Activations"
      aside={
        <label className="check">
          <input
            type="checkbox"
            checked={log}
            onChange={(event) => setSearch({ counts: event.target.checked ? 'log' : null })}
          />
          Log counts
        </label>
      }
    >
      <p className="muted unit">
        up to {formatCount(Math.max(...histogram.counts))} firings per bin{log && ', log scale'}
      </p>
      <Bars histogram={histogram} log={log} onBin={setBin} />
      <div className="axis">
        <span>0</span>
        <span>{bin === null ? 'activation' : binText(histogram, bin)}</span>
        <span>{formatValue(histogram.max)}</span>
      </div>
    </Panel>
  );
}
