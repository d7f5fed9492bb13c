import { keepPreviousData, useQueries, useQuery } from '@tanstack/react-query';
import { documentsQuery, PAGE_SIZE } from '../api/queries';
import type { DocumentRow, Metadata, SaeDetail } from '../api/types';
import { formatCount } from '../format';
import { navigate, paths, setSearch, useSearch } from '../router';
import { layoutPreview } from '../tokens/text';
import { Link } from '../ui/link';
import { useMedia } from '../ui/media';
import { ErrorNote, Note } from '../ui/states';
import { useTitle } from '../ui/title';
import { UNKNOWN_TOTAL, VirtualList } from '../ui/virtual-list';
import { IndexedSae } from './indexed-sae';
import { useVisiblePages } from './pages-of';

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
        {total === undefined
          ? ''
          : `${formatCount(total)} ${total === 1 ? 'document' : 'documents'}`}
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

function Cells({ sae, row }: { sae: string; row: DocumentRow }) {
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
        {layoutPreview(row.preview)}
      </div>
    </>
  );
}

function EmptyCells() {
  return HEADS.map(([name, className]) => (
    <div role="gridcell" className={className} key={name}>
      <span className="skeleton" />
    </div>
  ));
}

function Documents({ detail }: { detail: SaeDetail }) {
  const sae = detail.id;
  const group = useSearch().get('group') ?? '';
  const [pages, onRange] = useVisiblePages();
  const narrow = useMedia('(max-width: 720px)');

  const start = useQuery({ ...documentsQuery(sae, group, 0), placeholderData: keepPreviousData });
  const fetched = useQueries({ queries: pages.map((page) => documentsQuery(sae, group, page)) });
  const failed = fetched.find((query) => query.error !== null) ?? start;
  const byPage = new Map(pages.map((page, i) => [page, fetched[i]?.data?.documents]));
  const rowAt = (index: number) =>
    byPage.get(Math.floor(index / PAGE_SIZE))?.[index % PAGE_SIZE] ?? start.data?.documents[index];

  const total = start.data?.total;
  return (
    <>
      <GroupFilter groups={detail.groups} value={group} total={total} />
      {failed.error !== null && (
        <ErrorNote error={failed.error} retry={() => void failed.refetch()} />
      )}
      {total === 0 && <Note>There are no documents here.</Note>}
      <VirtualList
        id="documents"
        label="Documents"
        total={total ?? (start.error === null ? UNKNOWN_TOTAL : 0)}
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
          return row === undefined ? <EmptyCells /> : <Cells sae={sae} row={row} />;
        }}
        onOpen={(index) => {
          const row = rowAt(index);
          if (row !== undefined) navigate(paths.document(sae, row.doc_id));
        }}
        onRange={onRange}
        memoryKey={`${sae} documents ${group}`}
      />
    </>
  );
}

export function DocumentsPage({ sae }: { sae: string }) {
  useTitle(`Documents of ${sae}`);
  return (
    <IndexedSae sae={sae} title="Documents">
      {(detail) => <Documents detail={detail} />}
    </IndexedSae>
  );
}
