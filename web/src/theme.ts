import { useSyncExternalStore } from 'react';

export type Theme = 'system' | 'light' | 'dark';
const KEY = 'sae-theme';
const ORDER: Theme[] = ['system', 'light', 'dark'];
const listeners = new Set<() => void>();

function read(): Theme {
  try {
    const saved = localStorage.getItem(KEY);
    return saved === 'light' || saved === 'dark' ? saved : 'system';
  } catch {
    return 'system'; // storage is switched off
  }
}

let current = read();

/** Sets `color-scheme` through the attribute that base.css looks at. */
export function applyTheme() {
  document.documentElement.dataset.theme = current;
}

export function cycleTheme() {
  current = ORDER[(ORDER.indexOf(current) + 1) % ORDER.length] ?? 'system';
  try {
    localStorage.setItem(KEY, current);
  } catch {
    // Then the choice lasts as long as the page.
  }
  applyTheme();
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export const useTheme = (): Theme => useSyncExternalStore(subscribe, () => current);
