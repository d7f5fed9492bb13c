import type { Statistics } from '../api/types';
import { formatCount, formatDensity, formatValue } from '../format';
import { Panel } from '../ui/panel';
import { Term } from '../ui/tip';

type Row = [label: string, value: string, definition: string];

function rowsOf(s: Statistics): Row[] {
  const interval = `${formatDensity(s.density_low)} – ${formatDensity(s.density_high)}`;
  return [
    ['Firings', formatCount(s.firings), 'Rows on which the latent is greater than 0.'],
    [
      'Density',
      formatDensity(s.density),
      `Firings over all ${formatCount(s.n_rows)} indexed rows.`,
    ],
    ['95% interval', interval, 'Wilson interval of the density, taking rows as independent draws.'],
    ['Documents', formatCount(s.documents), 'Documents in which it fires at least once.'],
    ['Max', formatValue(s.max), 'The largest activation.'],
    ['Mean', formatValue(s.mean), 'Mean activation over its firings, not over all rows.'],
    ['Std', formatValue(s.std), 'Standard deviation over its firings (divisor n).'],
    ['Skewness', formatValue(s.skewness), 'Third standardized moment over its firings.'],
    [
      'Kurtosis',
      formatValue(s.kurtosis),
      'Fourth standardized moment over its firings, not in excess: a normal distribution has 3.',
    ],
    ['Decoder norm', formatValue(s.decoder_norm), 'Euclidean length of the latent’s decoder row.'],
    [
      'Enc–dec cosine',
      formatValue(s.encoder_decoder_cosine),
      'Cosine between the latent’s encoder and decoder vectors; near 1 means that it writes what it reads.',
    ],
  ];
}

export function StatisticsPanel({ statistics }: { statistics: Statistics }) {
  return (
    <Panel id="statistics" title="Statistics">
      <dl className="facts-list">
        {rowsOf(statistics).map(([label, value, definition]) => (
          <div key={label}>
            <dt>
              <Term definition={definition}>{label}</Term>
            </dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {!statistics.dead && (
        <div className="table-scroll" tabIndex={0} role="group" aria-label="Quantiles">
          <table className="quantiles">
            <caption>
              <Term definition="Exact: the activation at that share of the latent’s firings, from the smallest up.">
                Quantiles of its activations
              </Term>
            </caption>
            <thead>
              <tr>
                {statistics.quantiles.map(({ p }) => (
                  <th scope="col" key={p}>
                    {p === 0 ? 'min' : p === 1 ? 'max' : `${Math.round(p * 100)}%`}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              <tr>
                {statistics.quantiles.map(({ p, value }) => (
                  <td key={p}>{formatValue(value)}</td>
                ))}
              </tr>
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}
