import { memo, useCallback, useMemo } from 'react';
import type { Example } from '../api/types';
import { formatValue } from '../format';
import { paths } from '../router';
import { TokenChip } from '../tokens/chip';
import { TokenStrip } from '../tokens/strip';
import { layoutTokens, type Joining } from '../tokens/text';
import { Link } from '../ui/link';

interface Props {
  sae: string;
  latent: number;
  example: Example;
  max: number;
  joining: Joining;
}

function documentLink({ sae, latent, example }: Props): string | null {
  if (example.doc_id === null) return null;
  return `${paths.document(sae, example.doc_id)}?latent=${latent}&token=${example.row}`;
}

/** One firing in its context. */
export const ExampleItem = memo(function ExampleItem(props: Props) {
  const { example, max, joining } = props;
  const pieces = useMemo(() => layoutTokens(example.tokens, joining), [example.tokens, joining]);
  const describe = useCallback(
    (index: number) => (
      <>
        <TokenChip token={example.tokens[index] ?? ''} />
        <strong>{formatValue(example.values[index] ?? 0)}</strong>
        {example.first_pos !== null && <span>position {example.first_pos + index}</span>}
      </>
    ),
    [example],
  );
  const link = documentLink(props);
  const source = Object.entries(example.metadata).map(([, value]) => String(value));
  return (
    <li className="example">
      <span className="value">{formatValue(example.value)}</span>
      <TokenStrip
        pieces={pieces}
        values={example.values}
        max={max}
        focus={example.focus}
        describe={describe}
        label={`Example with activation ${formatValue(example.value)}`}
      />
      <span className="source" title={source.join(' · ')}>
        {link !== null && (
          <Link to={link} className="to-document">
            doc {example.doc_id}
          </Link>
        )}
        <span className="muted">{source.join(' · ')}</span>
      </span>
    </li>
  );
});
