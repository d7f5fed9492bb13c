import { useCallback, useEffect, useMemo } from 'react';
import type { DocumentPage, DocumentToken } from '../api/types';
import { formatValue } from '../format';
import { setSearch } from '../router';
import { TokenChip } from '../tokens/chip';
import { TokenStrip } from '../tokens/strip';
import { detectJoining, layoutTokens } from '../tokens/text';
import { Panel } from '../ui/panel';

const IN_TIP = 5;

const valueOf = (token: DocumentToken, latent: number | null) =>
  token.latents.find((entry) => entry.latent === latent)?.value ?? 0;

function TokenTip({ token, latent }: { token: DocumentToken; latent: number | null }) {
  return (
    <>
      <TokenChip token={token.token} />
      {token.pos !== null && <span>position {token.pos}</span>}
      {latent !== null && (
        <span>
          latent {latent}: <strong>{formatValue(valueOf(token, latent))}</strong>
        </span>
      )}
      <ul>
        {token.latents.slice(0, IN_TIP).map((entry) => (
          <li key={entry.latent}>
            <span>{entry.latent}</span> <strong>{formatValue(entry.value)}</strong>
          </li>
        ))}
      </ul>
    </>
  );
}

interface Props {
  document: DocumentPage;
  latent: number | null;
  /** Row of the chosen token. */
  row: number | null;
}

/** The document's text, shaded with the chosen latent. */
export function DocumentText({ document: page, latent, row }: Props) {
  const { tokens } = page;
  const pieces = useMemo(() => {
    const texts = tokens.map((token) => token.token);
    return layoutTokens(texts, detectJoining(texts));
  }, [tokens]);
  const values = useMemo(() => tokens.map((token) => valueOf(token, latent)), [tokens, latent]);
  const max = Math.max(0, ...values);
  const describe = useCallback(
    (index: number) => {
      const token = tokens[index];
      return token === undefined ? null : <TokenTip token={token} latent={latent} />;
    },
    [tokens, latent],
  );
  const selected = tokens.findIndex((token) => token.row === row);
  const onSelect = useCallback(
    (index: number) => setSearch({ token: tokens[index]?.row ?? null }),
    [tokens],
  );
  const idOf = useCallback((index: number) => `token-${tokens[index]?.row ?? ''}`, [tokens]);

  // Only on arrival: a token that is chosen by hand is in view already.
  useEffect(() => {
    document.querySelector('#text [data-selected]')?.scrollIntoView({ block: 'center' });
  }, []);

  const cut = latent !== null && tokens.some((token) => token.l0 > token.latents.length);
  return (
    <Panel
      id="text"
      title="Text"
      aside={
        latent !== null && (
          <span className="shading">
            shaded by latent {latent}
            {max > 0 ? `, up to ${formatValue(max)}` : ', which does not fire here'}{' '}
            <button type="button" className="quiet" onClick={() => setSearch({ latent: null })}>
              Clear
            </button>
          </span>
        )
      }
    >
      <TokenStrip
        pieces={pieces}
        values={values}
        max={max}
        selected={selected < 0 ? undefined : selected}
        describe={describe}
        onSelect={onSelect}
        idOf={idOf}
        label="Text of the document"
        lines
      />
      {cut && (
        <p className="muted">
          Some tokens fire more latents than the server lists; weaker firings are not shaded.
        </p>
      )}
    </Panel>
  );
}
