import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { latentQuery, prefetchNeighbours } from '../api/queries';
import type { LatentPage as LatentData } from '../api/types';
import { formatDensity, formatValue } from '../format';
import { ExamplesPanel } from '../panels/examples';
import { GroupsPanel } from '../panels/groups';
import { HistogramPanel } from '../panels/histogram';
import { StatisticsPanel } from '../panels/statistics';
import { TopTokensPanel } from '../panels/top-tokens';
import { navigate, paths, useSearch } from '../router';
import { useKeys } from '../ui/keys';
import { Link } from '../ui/link';
import { ErrorNote, Loading, Skeleton } from '../ui/states';
import { useTitle } from '../ui/title';
import { readExampleOptions } from './example-options';
import { listPath } from './list-memory';

interface StepProps {
  to: string | null;
  children: string;
  label: string;
}

function Step({ to, children, label }: StepProps) {
  return (
    <button
      type="button"
      disabled={to === null}
      aria-label={label}
      title={label}
      onClick={() => to !== null && navigate(to)}
    >
      {children}
    </button>
  );
}

function LatentHead(props: { sae: string; latent: number; data: LatentData | undefined }) {
  const { sae, latent, data } = props;
  const search = useSearch().toString();
  const to = (next: number | null | undefined) =>
    next === null || next === undefined
      ? null
      : paths.latent(sae, next) + (search === '' ? '' : `?${search}`);
  const previous = to(data?.previous);
  const next = to(data?.next);
  const list = listPath(sae);
  useKeys({
    ArrowLeft: () => previous !== null && navigate(previous),
    ArrowRight: () => next !== null && navigate(next),
    Home: () => navigate(list),
  });
  const s = data?.statistics;
  return (
    <header className="page-head">
      <h1>
        Latent {latent} <span className="muted">of {sae}</span>
      </h1>
      <p className="muted facts">
        {s === undefined
          ? ' '
          : s.dead
            ? 'dead: never fires on the indexed rows'
            : `fires on ${formatDensity(s.density)} of rows · max ${formatValue(s.max)}`}
      </p>
      <nav aria-label="Latents" className="steps">
        <Step to={previous} label="Previous latent (←)">
          ←
        </Step>
        <Step to={next} label="Next latent (→)">
          →
        </Step>
        <Link to={list}>All latents</Link>
      </nav>
    </header>
  );
}

export function LatentPage({ sae, latent }: { sae: string; latent: number }) {
  useTitle(`Latent ${latent} of ${sae}`);
  const client = useQueryClient();
  const { before, after, per_group, seed } = readExampleOptions(useSearch());
  const query = useQuery({
    ...latentQuery(sae, latent, { before, after, per_group, seed }),
    // Other examples of the same latent may take the place of the old ones; another latent may not.
    placeholderData: (old: LatentData | undefined) => (old?.latent === latent ? old : undefined),
  });
  const { data, error, isPlaceholderData } = query;

  useEffect(() => {
    if (data === undefined || isPlaceholderData) return;
    prefetchNeighbours(client, sae, data, { before, after, per_group, seed });
  }, [client, sae, data, isPlaceholderData, before, after, per_group, seed]);

  return (
    <div className="page">
      <LatentHead sae={sae} latent={latent} data={data} />
      {error !== null && <ErrorNote error={error} retry={() => void query.refetch()} />}
      {data === undefined && error === null && (
        <div className="latent-panels">
          <Loading what={`latent ${latent}`} />
          <Skeleton lines={20} height={900} />
          <Skeleton lines={30} height={900} />
        </div>
      )}
      {data !== undefined && (
        <div className="latent-panels" aria-busy={isPlaceholderData}>
          <div className="side">
            <StatisticsPanel statistics={data.statistics} />
            <HistogramPanel histogram={data.histogram} />
            <TopTokensPanel tokens={data.top_tokens} />
            <GroupsPanel groups={data.groups} density={data.statistics.density} />
          </div>
          <ExamplesPanel sae={sae} page={data} />
        </div>
      )}
    </div>
  );
}
