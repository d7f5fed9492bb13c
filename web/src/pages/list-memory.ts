import { useEffect } from 'react';
import { paths, useSearch } from '../router';

const lists = new Map<string, string>();

/** Keeps the list's filters, so that the way back from a latent leads to the same list. */
export function useRememberList(sae: string) {
  const search = useSearch().toString();
  useEffect(() => {
    lists.set(sae, search);
  }, [sae, search]);
}

export function listPath(sae: string): string {
  const search = lists.get(sae) ?? '';
  return search === '' ? paths.latents(sae) : `${paths.latents(sae)}?${search}`;
}
