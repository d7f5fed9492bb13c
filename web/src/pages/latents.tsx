import { keepPreviousData, useQueries, useQuery } from '@tanstack/react-query';
import type { CSSProperties } from 'react';
import { latentsQuery, PAGE_SIZE, type LatentFilter } from '../api/queries';
import type { LatentRow, SaeDetail } from '../api/types';
import { densityPosition, formatCount, formatDensity, formatValue } from '../format';
import { navigate, paths, setSearch, useSearch } from '../router';
import { containsText, TokenChip } from '../tokens/chip';
import { Link } from '../ui/link';
import { useMedia } from '../ui/media';
import { ErrorNote, Note } from '../ui/states';
import { useTitle } from '../ui/title';
import { UNKNOWN_TOTAL, VirtualList } from '../ui/virtual-list';
import { IndexedSae } from './indexed-sae';
import { readFilter, sortBy } from './latent-filter';
import { LatentFilters } from './latent-filters';
import { useRememberList } from './list-memory';
import { useVisiblePages } from './pages-of';

const COLUMNS: { name: string; className: string; sort?: LatentFilter['sort'] }[] = [
  { name: 'Latent', className: 'num', sort: 'id' },
  { name: 'Density', className: 'density', sort: 'density' },
  { name: 'Max', className: 'num', sort: 'max' },
  { name: 'Mean', className: 'num', sort: 'mean' },
  { name: 'Documents', className: 'num documents' },
  { name: 'Top tokens', className: 'chips' },
];

function Head({ filter }: { filter: LatentFilter }) {
  return COLUMNS.map(({ name, className, sort }) => {
    const sorted = sort === filter.sort;
    const order = filter.order === 'asc' ? 'ascending' : 'descending';
    return (
      <div
        key={name}
        role="columnheader"
        className={className}
        aria-sort={sort === undefined ? undefined : sorted ? order : 'none'}
      >
        {sort === undefined ? (
          name
        ) : (
          <button type="button" className="sort" onClick={() => setSearch(sortBy(filter, sort))}>
            {name}
            <span aria-hidden="true">{sorted ? (filter.order === 'asc' ? '↑' : '↓') : ''}</span>
          </button>
        )}
      </div>
    );
  });
}

function Cells(props: { sae: string; row: LatentRow; nRows: number; token: string }) {
  const { sae, row, nRows, token } = props;
  const bar = { '--share': densityPosition(row.density, nRows) } as CSSProperties;
  return (
    <>
      <div role="gridcell" className="num">
        <Link to={paths.latent(sae, row.latent)} tabIndex={-1} className="row-link">
          {row.latent}
        </Link>
      </div>
      <div role="gridcell" className="density" data-dead={row.firings === 0 || undefined}>
        <span className="bar" style={bar} aria-hidden="true" />
        <span>{row.firings === 0 ? 'dead' : formatDensity(row.density)}</span>
      </div>
      <div role="gridcell" className="num">
        {formatValue(row.max)}
      </div>
      <div role="gridcell" className="num">
        {formatValue(row.mean)}
      </div>
      <div role="gridcell" className="num documents">
        {formatCount(row.documents)}
      </div>
      <div role="gridcell" className="chips">
        {row.top_tokens.map((top) => (
          <TokenChip key={top.token} token={top.token} found={token} />
        ))}
        {token !== '' && !row.top_tokens.some((top) => containsText(top.token, token)) && (
          <span className="muted">found further down its top tokens</span>
        )}
      </div>
    </>
  );
}

function EmptyCells() {
  return COLUMNS.map(({ name, className }) => (
    <div role="gridcell" className={className} key={name}>
      <span className="skeleton" />
    </div>
  ));
}

function LatentList({ detail }: { detail: SaeDetail }) {
  const sae = detail.id;
  const filter = readFilter(useSearch());
  const [pages, onRange] = useVisiblePages();
  const narrow = useMedia('(max-width: 720px)');
  useRememberList(sae);

  // The first page also tells the total, and shows the old one until the new one is there.
  const start = useQuery({ ...latentsQuery(sae, filter, 0), placeholderData: keepPreviousData });
  const fetched = useQueries({ queries: pages.map((page) => latentsQuery(sae, filter, page)) });
  const failed = fetched.find((query) => query.error !== null) ?? start;
  const byPage = new Map(pages.map((page, i) => [page, fetched[i]?.data?.latents]));
  const rowAt = (index: number) =>
    byPage.get(Math.floor(index / PAGE_SIZE))?.[index % PAGE_SIZE] ?? start.data?.latents[index];

  const total = start.data?.total;
  return (
    <>
      <LatentFilters sae={sae} filter={filter} dSae={detail.d_sae} total={total} />
      {failed.error !== null && (
        <ErrorNote error={failed.error} retry={() => void failed.refetch()} />
      )}
      {total === 0 && <Note>No latent passes these filters.</Note>}
      <VirtualList
        id="latents"
        label="Latents"
        total={total ?? (start.error === null ? UNKNOWN_TOTAL : 0)}
        rowHeight={narrow ? 64 : 36}
        columns={COLUMNS.length}
        head={<Head filter={filter} />}
        busy={start.isFetching}
        row={(index) => {
          const row = rowAt(index);
          if (row === undefined) return <EmptyCells />;
          const nRows = detail.index?.n_rows ?? 1;
          return <Cells sae={sae} row={row} nRows={nRows} token={filter.token} />;
        }}
        onOpen={(index) => {
          const row = rowAt(index);
          if (row !== undefined) navigate(paths.latent(sae, row.latent));
        }}
        onRange={onRange}
        memoryKey={`${sae} ${JSON.stringify(filter)}`}
      />
    </>
  );
}

export function LatentsPage({ sae }: { sae: string }) {
  useTitle(`Latents of ${sae}`);
  return (
    <IndexedSae sae={sae} title="Latents">
      {(detail) => <LatentList detail={detail} />}
    </IndexedSae>
  );
}
