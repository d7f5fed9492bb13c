import type { ReactNode } from 'react';
import type { SaeSummary, Training } from '../api/types';
import { formatCompact, formatCount, formatValue } from '../format';
import { Term } from './tip';

export const definitions = {
  fvu: 'Fraction of variance unexplained: the squared error of the reconstruction over the variance of the activations about their mean. Lower is better; 0 is exact.',
  l0: 'Latents that fire per row, on average.',
  dead: 'Latents that never fire on the indexed rows; while training, those the run counts as dead.',
  rows: 'Activations in the index: one per token of the dump.',
  d_in: 'Width of the activations that go in.',
  d_sae: 'Number of latents.',
  k: 'Latents kept per row, where the architecture fixes it.',
};

export interface Figure {
  label: string;
  definition?: string;
  value: ReactNode;
}

/** The figures of an SAE as the list and the pages' headers show them. */
export function figuresOf(sae: SaeSummary): Figure[] {
  const { index, training } = sae;
  const dead = index?.n_dead ?? training?.dead ?? null;
  return [
    { label: 'd_in', definition: definitions.d_in, value: formatCount(sae.d_in) },
    { label: 'd_sae', definition: definitions.d_sae, value: formatCount(sae.d_sae) },
    { label: 'k', definition: definitions.k, value: formatCount(sae.k) },
    {
      label: 'rows',
      definition: definitions.rows,
      value: index === null ? '–' : formatCompact(index.n_rows),
    },
    { label: 'FVU', definition: definitions.fvu, value: formatValue(index?.fvu ?? training?.fvu) },
    { label: 'L0', definition: definitions.l0, value: formatValue(index?.l0_mean ?? training?.l0) },
    {
      label: 'dead',
      definition: definitions.dead,
      value: formatCount(dead),
    },
  ];
}

export function FigureList({ figures }: { figures: Figure[] }) {
  return (
    <dl className="figures">
      {figures.map(({ label, definition, value }) => (
        <div key={label}>
          <dt>{definition === undefined ? label : <Term definition={definition}>{label}</Term>}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export function Status({ status }: { status: SaeSummary['status'] }) {
  return (
    <span className="status" data-status={status}>
      {status}
    </span>
  );
}

export function TrainingProgress({ training }: { training: Training }) {
  const { step, steps, tokens_seen, loss } = training;
  const share = steps > 0 ? step / steps : 0;
  return (
    <div className="progress">
      <progress value={share} max={1} aria-label="Training progress" />
      <span>
        step {formatCount(step)} of {formatCount(steps)} · {formatCompact(tokens_seen)} rows seen ·
        loss {formatValue(loss)}
      </span>
    </div>
  );
}
