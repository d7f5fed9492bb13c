import type { StrongestLatent } from '../api/types';
import { formatCount } from '../format';
import { Panel } from '../ui/panel';
import { LatentBars } from './latent-bars';

interface Props {
  sae: string;
  strongest: StrongestLatent[];
  latent: number | null;
  onChoose: (latent: number | null) => void;
}

/** The document's strongest latents, by the sum of their values over it. */
export function StrongestPanel({ sae, strongest, latent, onChoose }: Props) {
  const rows = strongest.map((entry) => ({
    latent: entry.latent,
    value: entry.sum,
    detail: `${formatCount(entry.firings)}×`,
  }));
  return (
    <Panel id="strongest" title="Strongest latents" aside={<span>sum · firings</span>}>
      <LatentBars sae={sae} rows={rows} chosen={latent} onChoose={onChoose} />
    </Panel>
  );
}
