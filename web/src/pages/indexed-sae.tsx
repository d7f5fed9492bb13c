import { useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { saeQuery } from '../api/queries';
import type { SaeDetail } from '../api/types';
import { FigureList, figuresOf, sourceOf, Status } from '../ui/figures';
import { ErrorNote, Loading, Skeleton } from '../ui/states';
import { UnindexedRun } from './unindexed';

interface Props {
  sae: string;
  title: string;
  /** What to show below the facts once the run has an index. */
  children: (detail: SaeDetail) => ReactNode;
}

/** A list's page: the SAE's facts, then the list, or what there is of a run without an index. */
export function IndexedSae({ sae, title, children }: Props) {
  const { data, error, refetch } = useQuery(saeQuery(sae));
  return (
    <div className={data?.status === 'indexed' ? 'page filling' : 'page'}>
      <header className="sae-header">
        <div>
          <h1>
            {title} <span className="muted">of {sae}</span>{' '}
            {data !== undefined && data.status !== 'indexed' && <Status status={data.status} />}
          </h1>
          <p className="muted source">{data !== undefined && sourceOf(data)}</p>
        </div>
        {data !== undefined && <FigureList figures={figuresOf(data)} />}
      </header>
      {error !== null && <ErrorNote error={error} retry={() => void refetch()} />}
      {data === undefined && error === null && (
        <>
          <Loading what={sae} />
          <Skeleton lines={20} height={640} />
        </>
      )}
      {data !== undefined &&
        (data.status === 'indexed' ? children(data) : <UnindexedRun sae={data} />)}
    </div>
  );
}
