import { useState, type CSSProperties } from 'react';
import type { GroupRates } from '../api/types';
import { formatCount, formatDensity } from '../format';
import { Panel } from '../ui/panel';
import { showTip, hideTip, Term } from '../ui/tip';

const FEW = 10;

function Group({ group, density }: { group: GroupRates; density: number }) {
  const [all, setAll] = useState(false);
  const values = group.values.toSorted((a, b) => b.rate - a.rate);
  const most = Math.max(density, ...values.map((value) => value.rate));
  const share = (rate: number) => (most === 0 ? 0 : rate / most);
  const shown = all ? values : values.slice(0, FEW);
  return (
    <>
      <table className="bars" style={{ '--mark': share(density) } as CSSProperties}>
        <thead>
          <tr>
            <th scope="col">{group.column}</th>
            <th scope="col">
              <Term definition="Firings over the rows with that value. The line is the density over all rows.">
                Firing rate
              </Term>
            </th>
            <th scope="col" className="num">
              Firings
            </th>
          </tr>
        </thead>
        <tbody>
          {shown.map(({ value, rows, firings, rate }) => (
            <tr
              key={value}
              onPointerEnter={(event) =>
                showTip(event.currentTarget, `${formatCount(firings)} of ${formatCount(rows)} rows`)
              }
              onPointerLeave={hideTip}
            >
              <th scope="row">{value}</th>
              <td className="bar-cell marked">
                <span className="bar" style={{ '--share': share(rate) } as CSSProperties} />
                <span>{formatDensity(rate)}</span>
              </td>
              <td className="num">{formatCount(firings)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {values.length > FEW && (
        <button type="button" className="quiet" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? 'Show fewer' : `Show all ${values.length}`}
        </button>
      )}
    </>
  );
}

/** How often the latent fires under each value of each grouping column. */
export function GroupsPanel({ groups, density }: { groups: GroupRates[]; density: number }) {
  if (groups.length === 0 || density === 0) return null;
  return (
    <Panel id="groups" title="Firing rate by group">
      {groups.map((group) => (
        <Group key={group.column} group={group} density={density} />
      ))}
    </Panel>
  );
}
