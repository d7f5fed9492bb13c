import type { SaeSummary } from '../src/api/types';
import { expect, listReady, test } from './fixtures';

test('the list shows every run, and one click leads to its latents', async ({
  page,
  served,
  request,
}) => {
  const answer = await request.get('/api/v1/saes');
  const { saes } = (await answer.json()) as { saes: SaeSummary[] };
  await page.goto('/');
  await expect(page.locator('.sae-card')).toHaveCount(saes.length);
  for (const sae of saes) {
    const card = page.locator('.sae-card').filter({
      has: page.getByRole('link', { name: sae.id, exact: true }),
    });
    await expect(card).toContainText(sae.architecture);
    await expect(card).toContainText(sae.status);
  }
  await page.getByRole('link', { name: served.sae.id, exact: true }).click();
  await expect(page).toHaveURL(served.at());
  await listReady(page);
});

test('a run in training shows how far it is, and a broken one why', async ({ page, served }) => {
  const summary = {
    ...served.sae,
    status: 'training',
    index: null,
    training: { step: 250, steps: 1000, tokens_seen: 9e5, loss: 0.5, fvu: 0.4, l0: 9, dead: 3 },
  };
  const broken = { ...served.sae, id: 'broken', problem: 'cfg.json: expected d_in' };
  await page.route('**/api/v1/saes', (route) =>
    route.fulfill({ json: { saes: [summary, broken] } }),
  );
  await page.goto('/');
  await expect(page.getByRole('progressbar')).toHaveJSProperty('value', 0.25);
  await expect(page.getByText('step 250 of 1,000')).toBeVisible();
  await expect(page.getByText('cfg.json: expected d_in')).toBeVisible();
});

test('a run without an index shows its curves instead of latents', async ({ page, served }) => {
  const training = { step: 2, steps: 9, tokens_seen: 5, loss: 1, fvu: 1, l0: 1, dead: 0 };
  const detail = { ...served.sae, status: 'training', index: null, training, config: 'k = 1' };
  const events = [1, 2, 3].map((step) => ({ step, loss: 1 / step, fvu: 2 / step, note: 'x' }));
  const root = `**/api/v1/saes/${encodeURIComponent(served.sae.id)}`;
  await page.route(root, (route) =>
    route.fulfill({ json: { ...detail, groups: [], columns: [] } }),
  );
  await page.route(`${root}/events`, (route) => route.fulfill({ json: { events } }));
  await page.goto(served.at());
  await expect(page.getByRole('img', { name: /^loss: 0\.333 at step 3/ })).toBeVisible();
  await expect(page.getByRole('img', { name: /^fvu/ })).toBeVisible();
  await page.getByText('Configuration').click();
  await expect(page.getByText('k = 1')).toBeVisible();
});
