import { useEffect, useRef } from 'react';

/** Calls `action` with the last arguments once `ms` have passed without another call. */
export function useDebounced<Args extends unknown[]>(action: (...args: Args) => void, ms: number) {
  const timer = useRef<number | undefined>(undefined);
  useEffect(() => () => window.clearTimeout(timer.current), []);
  return (...args: Args) => {
    window.clearTimeout(timer.current);
    timer.current = window.setTimeout(() => action(...args), ms);
  };
}
