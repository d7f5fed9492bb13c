import type { LatentList, LatentPage } from '../src/api/types';
import { expect, listReady, shownIds, test } from './fixtures';

for (const [column, sort, orders] of [
  ['Density', 'density', ['asc']],
  ['Max', 'max', ['desc', 'asc']],
  ['Mean', 'mean', ['desc', 'asc']],
  ['Latent', 'id', ['asc', 'desc']],
] as const) {
  test(`a click on ${column} sorts by it, another turns the order`, async ({ page, served }) => {
    await page.goto(served.at());
    await listReady(page);
    for (const order of orders) {
      await page.getByRole('columnheader', { name: column }).getByRole('button').click();
      await expect(page.getByRole('columnheader', { name: column })).toHaveAttribute(
        'aria-sort',
        order === 'asc' ? 'ascending' : 'descending',
      );
      await listReady(page);
      const { latents } = await served.get<LatentList>(`/latents?sort=${sort}&order=${order}`);
      const ids = await shownIds(page);
      expect(ids).toEqual(latents.slice(0, ids.length).map((row) => row.latent));
      const values = latents.map((row) => (sort === 'id' ? row.latent : row[sort]));
      expect(values).toEqual(values.toSorted((a, b) => (order === 'asc' ? a - b : b - a)));
    }
  });
}

test('the search keeps latents with the text among their top tokens', async ({ page, served }) => {
  await page.goto(served.at());
  await listReady(page);
  const all = await page.locator('.count').textContent();
  const chip = page
    .locator('.grid-body .chip')
    .filter({ hasText: /^[\p{L}]{2,}$/u })
    .first();
  test.skip((await chip.count()) === 0, 'the served index has no token texts');
  const text = (await chip.textContent()) ?? '';
  await page.getByRole('searchbox').fill(text.toUpperCase());
  await expect(page).toHaveURL(/token=/);
  await listReady(page);
  await expect(page.locator('.chip[data-found]').first()).toContainText(text, { ignoreCase: true });
  await expect(page.locator('.count')).not.toHaveText(all ?? '');
  for (const latent of (await shownIds(page)).slice(0, 10)) {
    const { top_tokens } = await served.get<LatentPage>(`/latents/${latent}`);
    const tokens = top_tokens.map((top) => top.token.toLowerCase());
    expect(tokens.some((token) => token.includes(text.toLowerCase()))).toBe(true);
  }
});

test('a text that no latent has leaves an empty list that says so', async ({ page, served }) => {
  await page.goto(`${served.at()}?token=${encodeURIComponent('\u2603no such token\u2603')}`);
  await expect(page.getByText('No latent passes these filters.')).toBeVisible();
});

test('density bounds and hiding the dead filter the list', async ({ page, served }) => {
  const { latents } = await served.get<LatentList>('/latents?limit=1000');
  const middle = latents[Math.floor(latents.length / 2)]?.density ?? 0;
  await page.goto(served.at());
  await listReady(page);
  await page.getByLabel('Density from').fill(String(middle));
  await expect(page).toHaveURL(/min_density=/);
  await listReady(page);
  const { total } = await served.get<LatentList>(`/latents?min_density=${middle}&limit=1`);
  await expect(page.locator('.count')).toHaveText(new RegExp(`^${total.toLocaleString('en-US')} `));

  await page.getByLabel('Density from').fill('2');
  await expect(page.getByLabel('Density from')).toHaveAttribute('aria-invalid', 'true');

  await page.getByLabel('Density from').fill('');
  await expect(page).not.toHaveURL(/min_density/);
  await page.getByLabel('Hide dead').check();
  await expect(page).toHaveURL(/alive=true/);
  const alive = await served.get<LatentList>('/latents?alive=true&limit=1');
  await expect(page.locator('.count')).toHaveText(
    new RegExp(`^${alive.total.toLocaleString('en-US')} `),
  );
});

test('the list comes back from its URL', async ({ page, served }) => {
  await page.goto(`${served.at()}?sort=max&order=asc&alive=true&min_density=0.001%25`);
  await listReady(page);
  const before = await shownIds(page);
  await page.reload();
  await listReady(page);
  expect(await shownIds(page)).toEqual(before);
  await expect(page.getByLabel('Hide dead')).toBeChecked();
  await expect(page.getByLabel('Density from')).toHaveValue('0.001%');
  await expect(page.getByRole('columnheader', { name: 'Max' })).toHaveAttribute(
    'aria-sort',
    'ascending',
  );
});

test('keys walk the list and open a latent; the way back keeps filters and place', async ({
  page,
  served,
}) => {
  await page.goto(`${served.at()}?sort=id`);
  await listReady(page);
  const grid = page.getByRole('grid');
  await grid.focus();
  await page.keyboard.press('End');
  const last = String(served.dSae - 1);
  await expect(page.getByRole('link', { name: last, exact: true })).toBeVisible();
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(served.at(`/latents/${served.dSae - 2}`));
  await expect(page.locator('#statistics')).toBeVisible();
  await page.keyboard.press('Home');
  await expect(page).toHaveURL(`${served.at()}?sort=id`);
  await expect(page.getByRole('link', { name: last, exact: true })).toBeVisible();
});

test('a number leads straight to its latent', async ({ page, served }) => {
  await page.goto(served.at());
  await page.getByLabel('Go to latent').fill(String(served.latent));
  await page.getByRole('button', { name: 'Go', exact: true }).click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText(`Latent ${served.latent}`);
});

test('a list of a million latents scrolls to its end', async ({ page, served }) => {
  const total = 1_000_000;
  await page.route('**/latents?*', (route) => {
    const params = new URL(route.request().url()).searchParams;
    const offset = Number(params.get('offset'));
    const count = Math.max(0, Math.min(Number(params.get('limit')), total - offset));
    const latents = Array.from({ length: count }, (_, i) => ({
      latent: offset + i,
      firings: 1,
      density: 1e-6,
      max: 1,
      mean: 1,
      documents: 1,
      top_tokens: [],
    }));
    return route.fulfill({ json: { total, offset, latents } satisfies LatentList });
  });
  await page.goto(`${served.at()}?sort=id`);
  await listReady(page);
  const grid = page.getByRole('grid');
  const link = (latent: number) => page.getByRole('link', { name: String(latent), exact: true });
  await grid.evaluate((element) => element.scrollTo(0, element.scrollHeight));
  await expect(link(total - 1)).toBeInViewport();
  await grid.evaluate((element) => element.scrollTo(0, element.scrollHeight / 2));
  await expect(link(total - 1)).toHaveCount(0);
  await expect
    .poll(async () => Math.abs(((await shownIds(page))[0] ?? 0) - total / 2))
    .toBeLessThan(100);
  await grid.focus();
  await page.keyboard.press('End');
  await expect(link(total - 1)).toBeInViewport({ ratio: 1 });
  await page.keyboard.press('Home');
  await expect(link(0)).toBeInViewport({ ratio: 1 });
});

test('typing on does not wait for the search before', async ({ page, served }) => {
  await page.goto(served.at());
  await listReady(page);
  const cancelled: string[] = [];
  page.on('requestfailed', (request) => cancelled.push(request.url()));
  await page.route('**/latents?*token=a&*', async (route) => {
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await route.continue().catch(() => undefined);
  });
  await page.getByRole('searchbox').fill('a');
  await expect(page).toHaveURL(/token=a$/);
  await page.getByRole('searchbox').fill('an');
  await expect(page).toHaveURL(/token=an$/);
  await expect.poll(() => cancelled.some((url) => url.includes('token=a&'))).toBe(true);
});
