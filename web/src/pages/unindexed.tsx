import { useQuery } from '@tanstack/react-query';
import { eventsQuery } from '../api/queries';
import type { SaeDetail } from '../api/types';
import { TrainingCurves } from '../panels/curves';
import { TrainingProgress } from '../ui/figures';
import { Note } from '../ui/states';

/** What there is to see of a run before it has an index. */
export function UnindexedRun({ sae }: { sae: SaeDetail }) {
  const training = sae.status === 'training';
  const { data } = useQuery(eventsQuery(sae.id, training));
  return (
    <div className="panels">
      {training && sae.training !== null ? (
        <TrainingProgress training={sae.training} />
      ) : training ? (
        <Note>Training has not logged a step yet.</Note>
      ) : (
        <Note>
          This run has no index yet. <code>sae index</code> makes one; its latents show then.
        </Note>
      )}
      {sae.problem !== null && <p className="problem">{sae.problem}</p>}
      <TrainingCurves events={data?.events ?? []} />
      <details>
        <summary>Configuration</summary>
        <pre>{sae.config}</pre>
      </details>
    </div>
  );
}
