import { useQuery } from '@tanstack/react-query';
import { saesQuery } from '../api/queries';
import type { SaeSummary } from '../api/types';
import { paths } from '../router';
import { figuresOf, FigureList, sourceOf, Status, TrainingProgress } from '../ui/figures';
import { Link } from '../ui/link';
import { ErrorNote, Loading, Note, Skeleton } from '../ui/states';
import { useTitle } from '../ui/title';

function SaeCard({ sae }: { sae: SaeSummary }) {
  return (
    <li className="card sae-card">
      <div className="sae-header">
        <div>
          <div className="sae-name">
            <h2>
              <Link to={paths.latents(sae.id)}>{sae.id}</Link>
            </h2>
            <Status status={sae.status} />
          </div>
          <p className="muted source">{sourceOf(sae)}</p>
        </div>
        <FigureList figures={figuresOf(sae)} />
      </div>
      {sae.status === 'training' && sae.training !== null && (
        <TrainingProgress training={sae.training} />
      )}
      {sae.status === 'trained' && sae.problem === null && (
        <p className="muted">
          Not indexed yet: run <code>sae index</code> to see its latents.
        </p>
      )}
      {sae.problem !== null && <p className="problem">{sae.problem}</p>}
    </li>
  );
}

export function SaesPage() {
  useTitle('Sparse autoencoders');
  const { data, error, refetch } = useQuery(saesQuery());
  return (
    <div className="page">
      <h1>Sparse autoencoders</h1>
      {error !== null && <ErrorNote error={error} retry={() => void refetch()} />}
      {data === undefined && error === null && (
        <>
          <Loading what="the runs" />
          <Skeleton lines={6} height={160} />
        </>
      )}
      {data?.saes.length === 0 && (
        <Note>
          The served folder holds no runs yet. <code>sae train</code> makes one.
        </Note>
      )}
      <ul className="cards">
        {data?.saes.map((sae) => (
          <SaeCard key={sae.id} sae={sae} />
        ))}
      </ul>
    </div>
  );
}
