// The answers of the HTTP interface, as docs/http_api.md defines them.

export type Metadata = Record<string, string | number | boolean | null>;

export interface Training {
  step: number;
  steps: number;
  tokens_seen: number;
  loss: number | null;
  fvu: number | null;
  l0: number | null;
  dead: number | null;
}

export interface IndexFigures {
  n_rows: number;
  n_firings: number;
  n_documents: number;
  n_dead: number;
  l0_mean: number;
  fvu: number | null;
}

export interface SaeSummary {
  id: string;
  status: 'training' | 'trained' | 'indexed';
  /** Empty while it is not known. */
  architecture: string;
  d_in: number | null;
  d_sae: number | null;
  k: number | null;
  model_name: string | null;
  hook_name: string | null;
  training: Training | null;
  index: IndexFigures | null;
  /** The training method, where the SAE's files tell it. */
  method: string | null;
  /** Why the run cannot be shown in full. */
  problem: string | null;
}

export interface SaeDetail extends SaeSummary {
  config: string;
  eval: Record<string, unknown> | null;
  groups: { column: string; values: { value: string; rows: number }[] }[];
  columns: { name: string; type: string }[];
}

/** One line of `events.jsonl`: numbers by name, and now and then a text. */
export type TrainingEvent = Record<string, unknown>;

export interface TopToken {
  token: string;
  firings: number;
  mean: number;
  share: number;
}

export interface LatentRow {
  latent: number;
  firings: number;
  density: number;
  max: number;
  mean: number;
  documents: number;
  top_tokens: TopToken[];
}

export interface LatentList {
  total: number;
  offset: number;
  latents: LatentRow[];
}

export interface Statistics {
  firings: number;
  n_rows: number;
  density: number;
  density_low: number;
  density_high: number;
  mean: number;
  max: number;
  std: number;
  skewness: number;
  kurtosis: number;
  documents: number;
  decoder_norm: number;
  encoder_decoder_cosine: number;
  dead: boolean;
  quantiles: { p: number; value: number }[];
}

export interface Histogram {
  max: number;
  counts: number[];
}

export interface GroupRates {
  column: string;
  values: { value: string; rows: number; firings: number; rate: number }[];
}

export interface Example {
  row: number;
  value: number;
  doc_id: number | null;
  /** Index of `row` in `tokens`. */
  focus: number;
  tokens: string[];
  /** This latent on every token shown. */
  values: number[];
  first_pos: number | null;
  metadata: Metadata;
}

export interface ExampleGroup {
  id: 'top' | 'random' | 'quantile';
  title: string;
  rank_from: number;
  rank_to: number;
  low: number;
  high: number;
  n: number;
  examples: Example[];
}

export interface LatentPage {
  latent: number;
  previous: number | null;
  next: number | null;
  statistics: Statistics;
  histogram: Histogram;
  top_tokens: TopToken[];
  groups: GroupRates[];
  examples: ExampleGroup[];
}

export interface DocumentRow {
  doc_id: number;
  n_rows: number;
  preview: string;
  metadata: Metadata;
}

export interface DocumentList {
  total: number;
  offset: number;
  documents: DocumentRow[];
}

export interface LatentValue {
  latent: number;
  value: number;
}

export interface DocumentToken {
  row: number;
  pos: number | null;
  token: string;
  l0: number;
  /** Strongest first, at most `top` of the request. */
  latents: LatentValue[];
}

export interface StrongestLatent {
  latent: number;
  max: number;
  sum: number;
  firings: number;
}

export interface DocumentPage {
  doc_id: number;
  n_rows: number;
  metadata: Metadata;
  previous: number | null;
  next: number | null;
  tokens: DocumentToken[];
  strongest: StrongestLatent[];
}
