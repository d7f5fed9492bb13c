import { expect, listReady, test } from './fixtures';

const failure = {
  status: 500,
  json: { error: { code: 'internal', message: 'postings.arrow ends early' } },
};

test.use({ errorsAllowed: true });

test('an error shows what the server says, and trying again helps', async ({ page, served }) => {
  let broken = true;
  await page.route('**/latents?*', (route) => (broken ? route.fulfill(failure) : route.continue()));
  await page.goto(served.at());
  await expect(page.getByRole('alert')).toContainText('postings.arrow ends early');
  broken = false;
  await page.getByRole('button', { name: 'Try again' }).click();
  await listReady(page);
  await expect(page.getByRole('alert')).toHaveCount(0);
});

test('a server that is gone is said to be gone', async ({ page }) => {
  await page.route('**/api/v1/saes', (route) => route.abort());
  await page.goto('/');
  await expect(page.getByRole('alert')).toContainText('does not answer');
});

test('latents, documents and SAEs that do not exist', async ({ page, served }) => {
  for (const path of [
    served.at(`/latents/${served.dSae}`),
    served.at('/documents/987654321'),
    '/saes/no-such-sae',
  ]) {
    await page.goto(path);
    await expect(page.getByRole('alert')).not.toBeEmpty();
    await expect(page.getByRole('alert')).toContainText('404');
  }
});

test('an unknown route leads to a page that says so', async ({ page }) => {
  await page.goto('/saes/x/neurons/3');
  await expect(page.getByRole('heading', { name: 'There is no such page' })).toBeVisible();
  await page.getByRole('link', { name: 'All SAEs' }).click();
  await expect(page).toHaveURL('/');
});
