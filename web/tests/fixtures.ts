import { test as base, expect, type APIRequestContext, type Page } from '@playwright/test';
import type {
  DocumentList,
  DocumentPage,
  LatentList,
  LatentPage,
  SaeSummary,
} from '../src/api/types';

/** What the tests need to know of the served data: never its numbers, only where things are. */
export interface Served {
  sae: SaeSummary;
  dSae: number;
  /** A latent that fires often enough to fill every group of examples. */
  latent: number;
  get: <T>(path: string) => Promise<T>;
  /** Address of a document with its strongest latent and its first token chosen. */
  shadedDocument: () => Promise<string>;
  /** The page's address of something under the SAE. */
  at: (path?: string) => string;
}

async function json<T>(request: APIRequestContext, path: string): Promise<T> {
  const response = await request.get(`/api/v1${path}`);
  expect(response.ok(), `${path} answers ${response.status()}`).toBe(true);
  return (await response.json()) as T;
}

interface Fixtures {
  served: Served;
  /** For tests that make requests fail, which the browser's console reports. */
  errorsAllowed: boolean;
}

export const test = base.extend<Fixtures>({
  errorsAllowed: [false, { option: true }],

  // Every test also fails on a console error or an uncaught exception.
  page: async ({ page, errorsAllowed }, provide) => {
    const errors: string[] = [];
    page.on('console', (message) => {
      if (message.type() === 'error') errors.push(message.text());
    });
    page.on('pageerror', (error) => errors.push(String(error)));
    await provide(page);
    if (!errorsAllowed) expect(errors).toEqual([]);
  },

  served: async ({ request }, provide) => {
    const { saes } = await json<{ saes: SaeSummary[] }>(request, '/saes');
    const sae = saes.find((entry) => entry.status === 'indexed');
    if (sae === undefined) throw new Error('SAE_URL serves no run with an index.');
    const under = `/saes/${encodeURIComponent(sae.id)}`;
    const { latents, total } = await json<LatentList>(
      request,
      `${under}/latents?sort=density&limit=40`,
    );
    const row = latents.findLast((entry) => entry.firings >= 60) ?? latents[0];
    if (row === undefined) throw new Error(`${sae.id} has no latents.`);
    const get = <T>(path: string) => json<T>(request, under + path);
    await provide({
      sae,
      dSae: total,
      latent: row.latent,
      get,
      shadedDocument: async () => {
        const { documents } = await get<DocumentList>('/documents?limit=1');
        const [first] = documents;
        if (first === undefined) return `${under}/documents`;
        const data = await get<DocumentPage>(`/documents/${first.doc_id}?top=1`);
        const chosen = `latent=${data.strongest[0]?.latent}&token=${data.tokens[0]?.row}`;
        return `${under}/documents/${first.doc_id}?${chosen}`;
      },
      at: (path = '') => under + path,
    });
  },
});

export { expect };

/** The latent or document numbers of the rows in view, from the top. */
export async function shownIds(page: Page): Promise<number[]> {
  const texts = await page.locator('.grid-body .row-link').allTextContents();
  return texts.map(Number);
}

/** Waits until the list shows fetched rows and nothing is on its way. */
export async function listReady(page: Page) {
  await expect(page.locator('.grid[aria-busy=false] .row-link').first()).toBeVisible();
}

export async function firstWithDocument(served: Served): Promise<LatentPage> {
  const page = await served.get<LatentPage>(`/latents/${served.latent}`);
  const found = page.examples.some((group) => group.examples.some((e) => e.doc_id !== null));
  test.skip(!found, 'the served index has no documents');
  return page;
}
