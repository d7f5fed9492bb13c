import type { ReactNode } from 'react';
import { ApiError } from '../api/client';

/** What went wrong, in the server's words, and a way to try again. */
export function ErrorNote({ error, retry }: { error: Error; retry?: () => void }) {
  return (
    <div className="note error" role="alert">
      <p>{error.message}</p>
      {error instanceof ApiError && error.status !== 0 && (
        <p className="muted">
          {error.status} {error.code}
        </p>
      )}
      {retry !== undefined && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

export function Note({ children }: { children: ReactNode }) {
  return <div className="note">{children}</div>;
}

/** Holds the place of `lines` lines of what is to come. */
export function Skeleton({ lines = 1, height }: { lines?: number; height?: number }) {
  return (
    <div className="skeleton-block" aria-hidden="true" style={{ minHeight: height }}>
      {Array.from({ length: lines }, (_, line) => (
        <span className="skeleton" key={line} style={{ width: `${92 - ((line * 17) % 40)}%` }} />
      ))}
    </div>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <span className="sr-only" role="status">
      Loading {what}…
    </span>
  );
}
