import type { CSSProperties } from 'react';
import { formatValue } from '../format';
import { paths } from '../router';
import { Link } from '../ui/link';

interface Props {
  sae: string;
  /** Strongest first. */
  rows: { latent: number; value: number; detail?: string }[];
  chosen: number | null;
  onChoose: (latent: number | null) => void;
}

/** Latents with bars; choosing one shades the document with it. */
export function LatentBars({ sae, rows, chosen, onChoose }: Props) {
  const most = Math.max(0, ...rows.map((row) => row.value));
  return (
    <ol className="latent-bars">
      {rows.map(({ latent, value, detail }) => (
        <li key={latent} data-chosen={latent === chosen || undefined}>
          <button
            type="button"
            aria-pressed={latent === chosen}
            title={`Shade the text with latent ${latent}`}
            onClick={() => onChoose(latent === chosen ? null : latent)}
          >
            <span className="num">{latent}</span>
            <span
              className="bar"
              style={{ '--share': most === 0 ? 0 : value / most } as CSSProperties}
            />
            <span className="num">{formatValue(value)}</span>
          </button>
          {detail !== undefined && <span className="muted num">{detail}</span>}
          <Link to={paths.latent(sae, latent)} aria-label={`Open latent ${latent}`} title="Open">
            →
          </Link>
        </li>
      ))}
    </ol>
  );
}
