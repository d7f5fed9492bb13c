import axe, { type AxeResults } from 'axe-core';
import type { Page } from '@playwright/test';
import { expect, test, type Served } from './fixtures';

const PAGES: Record<string, (served: Served) => string | Promise<string>> = {
  saes: () => '/',
  latents: (served) => `${served.at()}?token=e&sort=max`,
  latent: (served) => served.at(`/latents/${served.latent}?per_group=2`),
  documents: (served) => served.at('/documents'),
  document: (served) => served.shadedDocument(),
  'not found': () => '/no/such/page',
};

async function open(page: Page, path: string) {
  await page.goto(path);
  await page.waitForLoadState('networkidle');
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
}

async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const results = await page.evaluate<AxeResults>('axe.run()');
  return results.violations.map(
    ({ id, nodes }) =>
      `${id}: ${nodes
        .map((node) => node.html)
        .slice(0, 3)
        .join(' ')}`,
  );
}

for (const [name, path] of Object.entries(PAGES)) {
  for (const colorScheme of ['light', 'dark'] as const) {
    test(`axe finds nothing on ${name} in ${colorScheme}`, async ({ page, served }) => {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await open(page, await path(served));
      expect(await violations(page)).toEqual([]);
    });
  }

  test(`${name} fits 400 pixels`, async ({ page, served }) => {
    await page.setViewportSize({ width: 400, height: 800 });
    await open(page, await path(served));
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(overflow).toBeLessThanOrEqual(0);
  });
}

test('the colour scheme can be chosen and is kept', async ({ page }) => {
  await page.emulateMedia({ colorScheme: 'light' });
  await page.goto('/');
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await background();
  const button = page.getByRole('button', { name: 'Colour scheme' });
  await button.click();
  expect(await background()).toBe(light);
  await button.click();
  expect(await background()).not.toBe(light);
  await page.reload();
  expect(await background()).not.toBe(light);
});

test('nothing is fetched from elsewhere', async ({ page, served }) => {
  const elsewhere: string[] = [];
  const home = new URL(process.env.SAE_URL ?? '').origin;
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(home) && !url.startsWith('data:')) elsewhere.push(url);
  });
  for (const path of Object.values(PAGES)) await open(page, await path(served));
  expect(elsewhere).toEqual([]);
});
