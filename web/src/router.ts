import { useMemo, useSyncExternalStore } from 'react';

export type Route =
  | { page: 'saes' }
  | { page: 'latents'; sae: string }
  | { page: 'latent'; sae: string; latent: number }
  | { page: 'documents'; sae: string }
  | { page: 'document'; sae: string; docId: number }
  | { page: 'not-found' };

const PATTERN = /^\/saes\/([^/]+)(?:\/(latents|documents)(?:\/(-?\d+))?)?\/?$/;

export function matchRoute(pathname: string): Route {
  if (pathname === '/') return { page: 'saes' };
  const match = PATTERN.exec(pathname);
  if (match?.[1] === undefined) return { page: 'not-found' };
  let sae: string;
  try {
    sae = decodeURIComponent(match[1]);
  } catch {
    return { page: 'not-found' };
  }
  const [, , list, number] = match;
  if (list === 'documents') {
    return number === undefined
      ? { page: 'documents', sae }
      : { page: 'document', sae, docId: Number(number) };
  }
  return number === undefined
    ? { page: 'latents', sae }
    : { page: 'latent', sae, latent: Number(number) };
}

const under = (sae: string) => `/saes/${encodeURIComponent(sae)}`;

export const paths = {
  saes: () => '/',
  latents: (sae: string) => under(sae),
  latent: (sae: string, latent: number) => `${under(sae)}/latents/${latent}`,
  documents: (sae: string) => `${under(sae)}/documents`,
  document: (sae: string, docId: number) => `${under(sae)}/documents/${docId}`,
};

// pushState and replaceState tell nobody, so this tells our own listeners.
const listeners = new Set<() => void>();

function subscribe(listener: () => void) {
  listeners.add(listener);
  window.addEventListener('popstate', listener);
  return () => {
    listeners.delete(listener);
    window.removeEventListener('popstate', listener);
  };
}

export function navigate(to: string, { replace = false } = {}) {
  if (replace) history.replaceState(history.state, '', to);
  else history.pushState(null, '', to);
  for (const listener of listeners) listener();
}

export const usePathname = () => useSyncExternalStore(subscribe, () => location.pathname);

export type SearchPatch = Record<string, string | number | boolean | null>;

/** The search string after `patch`; null, false and '' take a parameter out. */
export function patchSearch(search: string, patch: SearchPatch): string {
  const params = new URLSearchParams(search);
  for (const [name, value] of Object.entries(patch)) {
    if (value === null || value === false || value === '') params.delete(name);
    else params.set(name, String(value));
  }
  const text = params.toString();
  return text === '' ? '' : `?${text}`;
}

export function setSearch(patch: SearchPatch, { replace = true } = {}) {
  const search = patchSearch(location.search, patch);
  if (search !== location.search) navigate(location.pathname + search, { replace });
}

export function useSearch(): URLSearchParams {
  const search = useSyncExternalStore(subscribe, () => location.search);
  return useMemo(() => new URLSearchParams(search), [search]);
}

/** The whole number called `name` within bounds, or `fallback` when it is absent or is not one. */
export function intParam(
  params: URLSearchParams,
  name: string,
  fallback: number,
  min = 0,
  max = Number.MAX_SAFE_INTEGER,
): number {
  const text = params.get(name);
  if (text === null || !/^-?\d+$/.test(text)) return fallback;
  return Math.min(max, Math.max(min, Number(text)));
}
