import { useCallback, useRef, useState } from 'react';
import { PAGE_SIZE } from '../api/queries';

const SETTLE_MS = 60;

/** Which pages of a list the rows in view lie on; while it flies past, nothing is asked for. */
export function useVisiblePages(): [number[], (first: number, last: number) => void] {
  const [pages, setPages] = useState<[number, number]>([0, 0]);
  const timer = useRef<number | undefined>(undefined);
  const onRange = useCallback((first: number, last: number) => {
    window.clearTimeout(timer.current);
    timer.current = window.setTimeout(() => {
      const from = Math.floor(first / PAGE_SIZE);
      const to = Math.floor(last / PAGE_SIZE);
      setPages((old) => (old[0] === from && old[1] === to ? old : [from, to]));
    }, SETTLE_MS);
  }, []);
  const [from, to] = pages;
  return [Array.from({ length: to - from + 1 }, (_, i) => from + i), onRange];
}
