import { useQuery } from '@tanstack/react-query';
import { saeQuery } from '../api/queries';
import { FigureList, figuresOf, Status } from '../ui/figures';
import { Skeleton } from '../ui/states';

/** The SAE's facts, above its lists. The list below tells what goes wrong. */
export function SaeHeader({ sae, title }: { sae: string; title: string }) {
  const { data } = useQuery(saeQuery(sae));
  const source =
    data === undefined
      ? ''
      : [data.architecture, data.model_name, data.hook_name].filter((x) => x !== null).join(' · ');
  return (
    <header className="sae-header">
      <div>
        <h1>
          {title} <span className="muted">of {sae}</span>{' '}
          {data !== undefined && data.status !== 'indexed' && <Status status={data.status} />}
        </h1>
        <p className="muted source">{source}</p>
      </div>
      {data === undefined ? (
        <Skeleton height={40} />
      ) : (
        <FigureList figures={figuresOf(data)} />
      )}
    </header>
  );
}
