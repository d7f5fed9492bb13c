import type { DocumentList, DocumentPage, SaeDetail } from '../src/api/types';
import { expect, listReady, shownIds, test, type Served } from './fixtures';

async function firstDocument(served: Served): Promise<DocumentPage> {
  const { documents } = await served.get<DocumentList>('/documents?limit=1');
  test.skip(documents.length === 0, 'the served index has no documents');
  return served.get<DocumentPage>(`/documents/${documents[0]?.doc_id}?top=50`);
}

test('the list filters by group and opens a document', async ({ page, served }) => {
  await firstDocument(served);
  await page.goto(served.at('/documents'));
  await listReady(page);
  const { groups } = await served.get<SaeDetail>('');
  const column = groups[0]?.column;
  const value = groups[0]?.values[0]?.value;
  if (column !== undefined && value !== undefined) {
    await page.getByLabel('Group').selectOption(`${column}:${value}`);
    await expect(page).toHaveURL(/group=/);
    await listReady(page);
    const group = encodeURIComponent(`${column}:${value}`);
    const { documents } = await served.get<DocumentList>(`/documents?group=${group}`);
    await expect
      .poll(() => shownIds(page))
      .toEqual(documents.map((d) => d.doc_id).slice(0, (await shownIds(page)).length));
  }
  const [first] = await shownIds(page);
  await page.locator('.grid-body .grid-row').first().click();
  await expect(page).toHaveURL(served.at(`/documents/${first}`));
});

test('a token shows its latents; choosing one shades the text', async ({ page, served }) => {
  const data = await firstDocument(served);
  const index = data.tokens.findIndex((token) => token.latents.length > 0);
  const strongest = data.tokens[index]?.latents[0]?.latent;
  await page.goto(served.at(`/documents/${data.doc_id}`));
  const token = page.locator('#text .token').nth(index);
  await token.hover();
  await expect(page.getByRole('tooltip')).toContainText(String(strongest));
  await token.click();
  await expect(page).toHaveURL(new RegExp(`token=${data.tokens[index]?.row}`));
  await page.locator('#token .latent-bars button').first().click();
  await expect(page).toHaveURL(new RegExp(`latent=${strongest}`));

  const shaded = data.tokens.filter((t) => t.latents.some((l) => l.latent === strongest)).length;
  await expect(page.locator('#text .token[style*=share]')).toHaveCount(shaded);
  await page.reload();
  await expect(page.locator('#text .token[style*=share]')).toHaveCount(shaded);
  await expect(page.locator('#text .token[data-selected]')).toHaveCount(1);
  await page.getByRole('button', { name: 'Clear' }).click();
  await expect(page.locator('#text .token[style*=share]')).toHaveCount(0);
});

test('the strongest latents are listed by their sum and shade the text', async ({
  page,
  served,
}) => {
  const data = await firstDocument(served);
  await page.goto(served.at(`/documents/${data.doc_id}`));
  const buttons = page.locator('#strongest .latent-bars button');
  await expect(buttons).toHaveCount(data.strongest.length);
  await buttons.first().click();
  await expect(page).toHaveURL(new RegExp(`latent=${data.strongest[0]?.latent}`));
  await expect(page.locator('#text .token[style*=share]').first()).toBeVisible();
  await page
    .getByRole('link', { name: `Open latent ${data.strongest[0]?.latent}` })
    .first()
    .click();
  await expect(page).toHaveURL(served.at(`/latents/${data.strongest[0]?.latent}`));
});

test('the next document is one step away', async ({ page, served }) => {
  const data = await firstDocument(served);
  test.skip(data.next === null, 'there is one document');
  await page.goto(served.at(`/documents/${data.doc_id}`));
  await page.getByRole('button', { name: 'Next document' }).click();
  await expect(page).toHaveURL(served.at(`/documents/${data.next}`));
  await expect(page.locator('#text')).toBeVisible();
  await page.keyboard.press('ArrowLeft');
  await expect(page).toHaveURL(served.at(`/documents/${data.doc_id}`));
});
