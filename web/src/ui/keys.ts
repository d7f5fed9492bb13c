import { useEffect, useRef } from 'react';

const TYPES = 'input, textarea, select, [contenteditable], [role=grid]';

/** Whether `target` has its own use for arrow keys. */
const isTyping = (target: EventTarget | null) =>
  target instanceof Element && target.closest(TYPES) !== null;

/** Keys that work anywhere on the page, but not while typing or with a modifier. */
export function useKeys(actions: Record<string, () => unknown>) {
  const latest = useRef(actions);
  useEffect(() => {
    latest.current = actions;
  });
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
      if (event.defaultPrevented || isTyping(event.target)) return;
      const action = latest.current[event.key];
      if (action === undefined) return;
      event.preventDefault();
      action();
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, []);
}
