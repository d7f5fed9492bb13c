import { keepPreviousData, useQueries, useQuery } from '@tanstack/react-query';
import { documentsQuery, PAGE_SIZE, saeQuery } from '../api/queries';
import type { Metadata, SaeDetail } from '../api/types';
import { formatCount } from '../format';
import { navigate, paths, setSearch, useSearch } from '../router';
import { Link } from '../ui/link';
import { useMedia } from '../ui/media';
import { ErrorNote, Note } from '../ui/states';
import { useTitle } from '../ui/title';
import { VirtualList } from '../ui/virtual-list';
import { useVisiblePages } from './pages-of';
import { SaeHeader } from './sae-header';

export const metadataText = (metadata: Metadata) =>
  Object.values(metadata)
    .filter((value) => value !== null)
    .join(' · ');

function GroupFilter(props: { groups: SaeDetail['groups']; value: string; total?: number }) {
  const { groups, value, total } = props;
  return (
    <div className="toolbar" role="search" aria-label="Filter documents">
      {groups.length > 0 && (
        <label className="field">
          <span>Group</span>
          <select value={value} onChange={(event) => setSearch({ group: event.target.value })}>
            <option value="">all documents</option>
            {groups.map((group) => (
              <optgroup label={group.column} key={group.column}>
                {group.values.map((entry) => (
                  <option key={entry.value} value={`${group.column}:${entry.value}`}>
                    {entry.value} ({formatCount(entry.rows)} rows)
                  </option>
                ))}
              </optgroup>
            ))}
          </select>
        </label>
      )}
      <output className="count" aria-live="polite">
        {total === undefined ? '' : `${formatCount(total)} ${total === 1 ? 'document' : 'documents'}`}
      </output>
    </div>
  );
}

const HEADS = [
  ['Document', 'num'],
  ['Tokens', 'num'],
  ['Metadata', 'metadata'],
  ['Begins', 'preview'],
] as const;

export function DocumentsPage({ sae }: { sae: string }) {
  useTitle(`Documents of ${sae}`);
  const group = useSearch().get('group') ?? '';
  const detail = useQuery(saeQuery(sae)).data;
  const [pages, onRange] = useVisiblePages();
  const narrow = useMedia('(max-width: 720px)');

  const start = useQuery({ ...documentsQuery(sae, group, 0), placeholderData: keepPreviousData });
  const fetched = useQueries({ queries: pages.map((page) => documentsQuery(sae, group, page)) });
  const failed = fetched.find((query) => query.error !== null) ?? start;
  const byPage = new Map(pages.map((page, i) => [page, fetched[i]?.data?.documents]));
  const rowAt = (index: number) =>
    byPage.get(Math.floor(index / PAGE_SIZE))?.[index % PAGE_SIZE] ?? start.data?.documents[index];

  return (
    <div className="page filling">
      <SaeHeader sae={sae} title="Documents" />
      <GroupFilter groups={detail?.groups ?? []} value={group} total={start.data?.total} />
      {failed.error !== null && (
        <ErrorNote error={failed.error} retry={() => void failed.refetch()} />
      )}
      {start.data?.total === 0 && <Note>There are no documents here.</Note>}
      <VirtualList
        id="documents"
        label="Documents"
        total={start.data?.total ?? (start.error === null ? 30 : 0)}
        rowHeight={narrow ? 64 : 36}
        columns={HEADS.length}
        head={HEADS.map(([name, className]) => (
          <div role="columnheader" className={className} key={name}>
            {name}
          </div>
        ))}
        busy={start.isFetching}
        row={(index) => {
          const row = rowAt(index);
          if (row === undefined) {
            return HEADS.map(([name, className]) => (
              <div role="gridcell" className={className} key={name}>
                <span className="skeleton" />
              </div>
            ));
          }
          return (
            <>
              <div role="gridcell" className="num">
                <Link to={paths.document(sae, row.doc_id)} tabIndex={-1} className="row-link">
                  {row.doc_id}
                </Link>
              </div>
              <div role="gridcell" className="num">
                {formatCount(row.n_rows)}
              </div>
              <div role="gridcell" className="metadata">
                {metadataText(row.metadata)}
              </div>
              <div role="gridcell" className="preview">
                {row.preview}
              </div>
            </>
          );
        }}
        onOpen={(index) => {
          const row = rowAt(index);
          if (row !== undefined) navigate(paths.document(sae, row.doc_id));
        }}
        onRange={onRange}
        memoryKey={`${sae} documents ${group}`}
      />
    </div>
  );
}
