import type { ReactNode } from 'react';
import type { SaeDetail, SaeSummary, Training } from '../api/types';
import { formatCompact, formatCount, formatValue } from '../format';
import { Term } from './tip';

export const definitions = {
  fvu: 'Fraction of variance unexplained: the squared error of the reconstruction over the variance of the activations about their mean, over the indexed rows, those trained on included; while training, over the latest batches. Lower is better; 0 is exact.',
  fvu_held_out:
    'The same on the documents held out of training, which shows how far the SAE carries beyond what it learned from.',
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

/** How the SAE does on what it was not trained on, where it has been evaluated. */
function heldOut(sae: SaeSummary | SaeDetail): Figure[] {
  const evaluation = 'eval' in sae ? sae.eval : null;
  const fvu = evaluation?.['fvu'];
  if (evaluation?.['split'] !== 'held out' || typeof fvu !== 'number') return [];
  return [{ label: 'FVU held out', definition: definitions.fvu_held_out, value: formatValue(fvu) }];
}

/** The figures of an SAE as the list and the pages' headers show them. */
export function figuresOf(sae: SaeSummary | SaeDetail): Figure[] {
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
    ...heldOut(sae),
    { label: 'L0', definition: definitions.l0, value: formatValue(index?.l0_mean ?? training?.l0) },
    {
      label: 'dead',
      definition: definitions.dead,
      value: formatCount(dead),
    },
  ];
}

/** How it was trained and on what, in one line. */
export function sourceOf(sae: SaeSummary): string {
  const { architecture, method, model_name, hook_name } = sae;
  const trained = method === architecture ? null : method;
  return [architecture, trained, model_name, hook_name].filter(Boolean).join(' · ');
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
