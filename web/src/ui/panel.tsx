import type { ReactNode } from 'react';

interface Props {
  id: string;
  title: string;
  /** Controls or a readout at the right of the title. */
  aside?: ReactNode;
  children: ReactNode;
}

export function Panel({ id, title, aside, children }: Props) {
  return (
    <section className="panel" id={id} aria-labelledby={`${id}-title`}>
      <header className="panel-head">
        <h2 id={`${id}-title`}>{title}</h2>
        {aside !== undefined && <div className="panel-aside">{aside}</div>}
      </header>
      {children}
    </section>
  );
}
