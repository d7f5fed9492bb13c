import type { CSSProperties } from 'react';
import type { TopToken } from '../api/types';
import { formatCount, formatValue } from '../format';
import { TokenChip } from '../tokens/chip';
import { Panel } from '../ui/panel';
import { Term } from '../ui/tip';

const percent = (share: number) => `${(share * 100).toFixed(share < 0.0995 ? 1 : 0)}%`;

export function TopTokensPanel({ tokens }: { tokens: TopToken[] }) {
  if (tokens.length === 0) return null;
  return (
    <Panel id="top_tokens" title="Top tokens">
      <table className="bars">
        <thead>
          <tr>
            <th scope="col">Token</th>
            <th scope="col">
              <Term definition="This token’s part of the sum of all the latent’s activations.">
                Share
              </Term>
            </th>
            <th scope="col" className="num">
              Firings
            </th>
            <th scope="col" className="num">
              Mean
            </th>
          </tr>
        </thead>
        <tbody>
          {tokens.map((top) => (
            <tr key={top.token}>
              <th scope="row">
                <TokenChip token={top.token} />
              </th>
              <td className="bar-cell">
                <span className="bar" style={{ '--share': top.share } as CSSProperties} />
                <span>{percent(top.share)}</span>
              </td>
              <td className="num">{formatCount(top.firings)}</td>
              <td className="num">{formatValue(top.mean)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  );
}
