import { queryOptions, type QueryClient } from '@tanstack/react-query';
import { getJson } from './client';
import type {
  DocumentList,
  DocumentPage,
  LatentList,
  LatentPage,
  SaeDetail,
  SaeSummary,
  TrainingEvent,
} from './types';

export const PAGE_SIZE = 100;
const POLL_MS = 2000;

export interface LatentFilter {
  sort: 'density' | 'max' | 'mean' | 'id';
  order: 'asc' | 'desc';
  min_density: number | null;
  max_density: number | null;
  token: string;
  alive: boolean;
}

export interface ExampleOptions {
  before: number;
  after: number;
  per_group: number;
  seed: number;
}

const under = (sae: string) => `/saes/${encodeURIComponent(sae)}`;

export const saesQuery = () =>
  queryOptions({
    queryKey: ['saes'],
    queryFn: ({ signal }) => getJson<{ saes: SaeSummary[] }>('/saes', {}, signal),
    refetchInterval: (query) =>
      query.state.data?.saes.some((sae) => sae.status === 'training') ? POLL_MS : false,
    staleTime: 0,
  });

export const saeQuery = (sae: string) =>
  queryOptions({
    queryKey: ['sae', sae],
    queryFn: ({ signal }) => getJson<SaeDetail>(under(sae), {}, signal),
    refetchInterval: (query) => (query.state.data?.status === 'training' ? POLL_MS : false),
  });

export const eventsQuery = (sae: string, live: boolean) =>
  queryOptions({
    queryKey: ['events', sae],
    queryFn: ({ signal }) =>
      getJson<{ events: TrainingEvent[] }>(`${under(sae)}/events`, {}, signal),
    refetchInterval: live ? POLL_MS : false,
  });

export const latentsQuery = (sae: string, filter: LatentFilter, page: number) =>
  queryOptions({
    queryKey: ['latents', sae, filter, page],
    queryFn: ({ signal }) =>
      getJson<LatentList>(
        `${under(sae)}/latents`,
        {
          ...filter,
          alive: filter.alive || null,
          offset: page * PAGE_SIZE,
          limit: PAGE_SIZE,
        },
        signal,
      ),
  });

export const latentQuery = (sae: string, latent: number, options: ExampleOptions) =>
  queryOptions({
    queryKey: ['latent', sae, latent, options],
    queryFn: ({ signal }) =>
      getJson<LatentPage>(`${under(sae)}/latents/${latent}`, { ...options }, signal),
  });

export const documentsQuery = (sae: string, group: string, page: number) =>
  queryOptions({
    queryKey: ['documents', sae, group, page],
    queryFn: ({ signal }) =>
      getJson<DocumentList>(
        `${under(sae)}/documents`,
        { group, offset: page * PAGE_SIZE, limit: PAGE_SIZE },
        signal,
      ),
  });

/** With every token's 50 strongest latents, as many as the server gives, so that any can be shaded. */
export const documentQuery = (sae: string, docId: number) =>
  queryOptions({
    queryKey: ['document', sae, docId],
    queryFn: ({ signal }) =>
      getJson<DocumentPage>(`${under(sae)}/documents/${docId}`, { top: 50 }, signal),
  });

/** Fetches what the arrows lead to, so that stepping through latents does not wait. */
export function prefetchNeighbours(
  client: QueryClient,
  sae: string,
  page: LatentPage,
  options: ExampleOptions,
) {
  for (const latent of [page.next, page.previous]) {
    if (latent === null) continue;
    // A failure shows when the latent is opened.
    client.query(latentQuery(sae, latent, options)).catch(() => undefined);
  }
}
