import { useState } from 'react';
import type { DocumentToken } from '../api/types';
import { formatCount } from '../format';
import { TokenChip } from '../tokens/chip';
import { Panel } from '../ui/panel';
import { LatentBars } from './latent-bars';

const FEW = 8;

interface Props {
  sae: string;
  token: DocumentToken | undefined;
  latent: number | null;
  onChoose: (latent: number | null) => void;
}

/** What fires on the chosen token. */
export function TokenPanel({ sae, token, latent, onChoose }: Props) {
  const [all, setAll] = useState(false);
  if (token === undefined) {
    return (
      <Panel id="token" title="Token">
        <p className="muted">Choose a token to see what fires on it.</p>
      </Panel>
    );
  }
  const rows = all ? token.latents : token.latents.slice(0, FEW);
  return (
    <Panel
      id="token"
      title="Token"
      aside={
        <>
          <TokenChip token={token.token} />
          {token.pos !== null && `position ${token.pos} · `}L0 {formatCount(token.l0)}
        </>
      }
    >
      <LatentBars sae={sae} rows={rows} chosen={latent} onChoose={onChoose} />
      {token.latents.length > FEW && (
        <button type="button" className="quiet" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? 'Show fewer' : `Show all ${token.latents.length}`}
        </button>
      )}
    </Panel>
  );
}
