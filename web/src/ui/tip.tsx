import { useLayoutEffect, useRef, useSyncExternalStore, type ReactNode } from 'react';

const ID = 'tip';
const MARGIN = 8;

// One tip for the whole page: thousands of tokens have one, but only one shows.
let shown: { anchor: Element; content: ReactNode } | null = null;
const listeners = new Set<() => void>();

function set(next: typeof shown) {
  shown?.anchor.removeAttribute('aria-describedby');
  next?.anchor.setAttribute('aria-describedby', ID);
  shown = next;
  for (const listener of listeners) listener();
}

export const showTip = (anchor: Element, content: ReactNode) => set({ anchor, content });

export function hideTip() {
  if (shown !== null) set(null);
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Above the anchor, or below where there is no room, and inside the window in any case. */
function place(tip: HTMLElement, anchor: Element) {
  // A token broken over two lines has two boxes: stay at the first.
  const box = anchor.getClientRects()[0] ?? anchor.getBoundingClientRect();
  const { width, height } = tip.getBoundingClientRect();
  const left = box.left + box.width / 2 - width / 2;
  const above = box.top - height - MARGIN;
  tip.style.left = `${Math.max(MARGIN, Math.min(left, innerWidth - width - MARGIN))}px`;
  tip.style.top = `${above >= MARGIN ? above : box.bottom + MARGIN}px`;
}

export function TipLayer() {
  const tip = useSyncExternalStore(subscribe, () => shown);
  const element = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (tip === null || element.current === null) return;
    place(element.current, tip.anchor);
    const onKey = (event: KeyboardEvent) => {
      if (event.key === 'Escape') hideTip();
    };
    window.addEventListener('scroll', hideTip, { passive: true, capture: true });
    window.addEventListener('keydown', onKey);
    return () => {
      window.removeEventListener('scroll', hideTip, { capture: true });
      window.removeEventListener('keydown', onKey);
    };
  }, [tip]);
  if (tip === null) return null;
  return (
    <div className="tip" role="tooltip" id={ID} ref={element}>
      {tip.content}
    </div>
  );
}

/** A word with its definition, for pointer, touch and keyboard. */
export function Term({ children, definition }: { children: ReactNode; definition: ReactNode }) {
  return (
    <button
      type="button"
      className="term"
      onPointerEnter={(event) => showTip(event.currentTarget, definition)}
      onPointerLeave={hideTip}
      onFocus={(event) => showTip(event.currentTarget, definition)}
      onClick={(event) => showTip(event.currentTarget, definition)}
      onBlur={hideTip}
    >
      {children}
    </button>
  );
}
