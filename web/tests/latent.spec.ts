import type { LatentPage } from '../src/api/types';
import { expect, firstWithDocument, test } from './fixtures';

const PANELS = ['statistics', 'histogram', 'examples'];

test('a latent page has its panels and every group of examples', async ({ page, served }) => {
  const data = await served.get<LatentPage>(`/latents/${served.latent}`);
  await page.goto(served.at(`/latents/${served.latent}`));
  for (const id of PANELS) await expect(page.locator(`#${id}`)).toBeVisible();
  await expect(page.locator('#top_tokens tbody tr')).toHaveCount(data.top_tokens.length);
  await expect(page.locator('.example-group')).toHaveCount(data.examples.length);
  const shown = await page
    .locator('.example-group')
    .evaluateAll((groups) => groups.map((group) => group.getAttribute('data-group')));
  expect(shown).toEqual(data.examples.map((group) => group.id));
  const count = data.examples.reduce((sum, group) => sum + group.examples.length, 0);
  await expect(page.locator('.example')).toHaveCount(count);
  await expect(page.locator('.token[data-focus]')).toHaveCount(count);
});

test('a token tells its value and place on hover and on focus', async ({ page, served }) => {
  await page.goto(served.at(`/latents/${served.latent}`));
  const example = page.locator('.example').first();
  const value = (await example.locator('.value').textContent()) ?? '';
  const focus = example.locator('.token[data-focus]');
  await focus.hover();
  await expect(page.getByRole('tooltip')).toContainText(value);
  await page.mouse.move(0, 0);
  await expect(page.getByRole('tooltip')).toHaveCount(0);
  await focus.focus();
  await expect(page.getByRole('tooltip')).toContainText(value);
  await page.keyboard.press('Escape');
  await expect(page.getByRole('tooltip')).toHaveCount(0);
  // Within the text the arrows walk over tokens and leave the latent alone.
  await page.keyboard.press('ArrowLeft');
  await expect(page.getByRole('tooltip')).toBeVisible();
  await expect(page).toHaveURL(served.at(`/latents/${served.latent}`));
});

test('the focus token of the top example is shaded most', async ({ page, served }) => {
  await page.goto(served.at(`/latents/${served.latent}`));
  const share = await page
    .locator('.example .token[data-focus]')
    .first()
    .evaluate((token) => getComputedStyle(token).getPropertyValue('--share'));
  expect(Number(share)).toBe(1);
});

test('each figure has its definition', async ({ page, served }) => {
  await page.goto(served.at(`/latents/${served.latent}`));
  const terms = page.locator('#statistics dt .term');
  await expect(terms.first()).toBeVisible();
  expect(await terms.count()).toBeGreaterThan(8);
  for (const term of await terms.all()) {
    await term.focus();
    await expect(page.getByRole('tooltip')).not.toBeEmpty();
  }
});

test('arrows step to the neighbours, but not while typing', async ({ page, served }) => {
  const { next } = await served.get<LatentPage>(`/latents/${served.latent}`);
  test.skip(next === null, 'the latent is the last one');
  await page.goto(served.at(`/latents/${served.latent}`));
  await expect(page.locator('#statistics')).toBeVisible();
  await page.getByLabel('Before').focus();
  await page.keyboard.press('ArrowRight');
  await expect(page).toHaveURL(served.at(`/latents/${served.latent}`));
  await page.getByLabel('Before').blur();
  await page.keyboard.press('ArrowRight');
  await expect(page).toHaveURL(served.at(`/latents/${next}`));
  await expect(page.getByRole('heading', { level: 1 })).toContainText(`Latent ${next}`);
  await expect(page.locator('#statistics')).toBeVisible();
  await page.keyboard.press('ArrowLeft');
  await expect(page).toHaveURL(served.at(`/latents/${served.latent}`));
  await page.getByRole('button', { name: 'Next latent' }).click();
  await expect(page).toHaveURL(served.at(`/latents/${next}`));
  await page.goBack();
  await expect(page.getByRole('heading', { level: 1 })).toContainText(`Latent ${served.latent}`);
});

test('the context is as long as asked for, and stays so over a reload', async ({
  page,
  served,
}) => {
  await page.goto(served.at(`/latents/${served.latent}`));
  const tokens = page.locator('.example').first().locator('.token');
  await page.getByLabel('Before').fill('0');
  await expect(page).toHaveURL(/before=0/);
  await page.getByLabel('After').fill('1');
  await expect(page).toHaveURL(/after=1/);
  await expect.poll(() => tokens.count()).toBeLessThanOrEqual(2);
  await page.reload();
  await expect(page.getByLabel('Before')).toHaveValue('0');
  await expect.poll(() => tokens.count()).toBeLessThanOrEqual(2);
});

test('drawing again changes the drawn examples and not the top ones', async ({ page, served }) => {
  await page.goto(served.at(`/latents/${served.latent}`));
  const values = (group: string) => page.locator(`[data-group=${group}] .strip`).allTextContents();
  await expect(page.locator('[data-group=random] .example').first()).toBeVisible();
  const [top, random] = [await values('top'), await values('random')];
  await page.getByRole('button', { name: 'Draw again' }).click();
  await expect(page).toHaveURL(/seed=1/);
  await expect.poll(() => values('random')).not.toEqual(random);
  expect(await values('top')).toEqual(top);
  await page.goBack();
  await expect.poll(() => values('random')).toEqual(random);
});

test('an example leads to its document at that token', async ({ page, served }) => {
  const { examples } = await firstWithDocument(served);
  const example = examples.flatMap((group) => group.examples).find((e) => e.doc_id !== null);
  await page.goto(served.at(`/latents/${served.latent}`));
  await page.locator('.to-document').first().click();
  await expect(page).toHaveURL(
    served.at(`/documents/${example?.doc_id}?latent=${served.latent}&token=${example?.row}`),
  );
  const token = page.locator('#text .token[data-selected]');
  await expect(token).toBeInViewport();
  await expect(token).toHaveAttribute('id', `token-${example?.row}`);
  await token.hover();
  await expect(page.getByRole('tooltip')).toContainText(`latent ${served.latent}`);
});

test('a latent that never fires says so', async ({ page, served }) => {
  const { latents } = await served.get<{ latents: { latent: number; firings: number }[] }>(
    '/latents?sort=density&order=asc&limit=1',
  );
  test.skip(latents[0]?.firings !== 0, 'every latent fires');
  await page.goto(served.at(`/latents/${latents[0]?.latent}`));
  await expect(page.getByText('This latent never fires')).toBeVisible();
});
