import { useQuery } from '@tanstack/react-query';
import { documentQuery } from '../api/queries';
import type { DocumentPage as DocumentData } from '../api/types';
import { formatCount } from '../format';
import { DocumentText } from '../panels/document-text';
import { StrongestPanel } from '../panels/strongest';
import { TokenPanel } from '../panels/token';
import { intParam, navigate, paths, setSearch, useSearch } from '../router';
import { useKeys } from '../ui/keys';
import { Link } from '../ui/link';
import { ErrorNote, Loading, Skeleton } from '../ui/states';
import { useTitle } from '../ui/title';
import { metadataText } from './documents';

function Head(props: { sae: string; docId: number; data: DocumentData | undefined }) {
  const { sae, docId, data } = props;
  const previous = data?.previous ?? null;
  const next = data?.next ?? null;
  const latent = useSearch().get('latent');
  const to = (doc: number) =>
    paths.document(sae, doc) + (latent === null ? '' : `?latent=${latent}`);
  const step = (doc: number | null) => () => doc !== null && navigate(to(doc));
  useKeys({
    ArrowLeft: step(previous),
    ArrowRight: step(next),
    Home: () => navigate(paths.documents(sae)),
  });
  return (
    <header className="page-head">
      <h1>
        Document {docId} <span className="muted">of {sae}</span>
      </h1>
      <p className="muted facts">
        {data !== undefined &&
          `${formatCount(data.n_rows)} tokens · ${metadataText(data.metadata)}`}
      </p>
      <nav aria-label="Documents" className="steps">
        <button
          type="button"
          disabled={previous === null}
          onClick={step(previous)}
          aria-label="Previous document (←)"
        >
          ←
        </button>
        <button
          type="button"
          disabled={next === null}
          onClick={step(next)}
          aria-label="Next document (→)"
        >
          →
        </button>
        <Link to={paths.documents(sae)}>All documents</Link>
      </nav>
    </header>
  );
}

export function DocumentPage({ sae, docId }: { sae: string; docId: number }) {
  useTitle(`Document ${docId} of ${sae}`);
  const params = useSearch();
  const latent = params.has('latent') ? intParam(params, 'latent', -1) : null;
  const row = params.has('token') ? intParam(params, 'token', -1) : null;
  const { data, error, refetch } = useQuery(documentQuery(sae, docId));
  const choose = (next: number | null) => setSearch({ latent: next });
  const token = data?.tokens.find((entry) => entry.row === row);

  return (
    <div className="page">
      <Head sae={sae} docId={docId} data={data} />
      {error !== null && <ErrorNote error={error} retry={() => void refetch()} />}
      {data === undefined && error === null && (
        <div className="document-panels">
          <Loading what={`document ${docId}`} />
          <Skeleton lines={24} height={800} />
          <Skeleton lines={16} height={800} />
        </div>
      )}
      {data !== undefined && (
        <div className="document-panels">
          <DocumentText key={docId} document={data} latent={latent} row={row} />
          <div className="side sticky">
            <TokenPanel sae={sae} token={token} latent={latent} onChoose={choose} />
            <StrongestPanel
              sae={sae}
              strongest={data.strongest}
              latent={latent}
              onChoose={choose}
            />
          </div>
        </div>
      )}
    </div>
  );
}
