// Takes the README's picture: the upper parts of latents' pages, one above the other.
//   node screenshot.mjs http://127.0.0.1:8080/saes/demo ../docs/screenshot.png 12 34
import { chromium } from '@playwright/test';

const WIDTH = 1280;
const GAP = 20;
/** So many keep the picture of two latents below 400 KB. */
const EXAMPLES = 8;

const [address, out, ...latents] = process.argv.slice(2);
const url = URL.canParse(address ?? '') ? new URL(address) : null;
if (
  url === null ||
  out === undefined ||
  !latents.length ||
  !latents.every((l) => /^\d+$/.test(l))
) {
  console.error(
    'Usage: node screenshot.mjs URL OUT.png LATENT [LATENT]\n' +
      'URL is of a running `sae serve`, or of one of its SAEs, such as http://127.0.0.1:8080/saes/demo;\n' +
      'without the SAE it is the first with an index.',
  );
  process.exit(2);
}

/** The path of the SAE's page: the address's own, or that of the first SAE with an index. */
async function saePath() {
  if (url.pathname !== '/') return url.pathname.replace(/\/$/, '');
  const response = await fetch(new URL('/api/v1/saes', url)).catch(() => {
    throw new Error(`Nothing answers at ${url}. Start \`sae serve\` there.`);
  });
  const { saes } = await response.json();
  const sae = saes.find((entry) => entry.status === 'indexed');
  if (sae === undefined) throw new Error(`${url} serves no SAE with an index. Run \`sae index\`.`);
  return `/saes/${encodeURIComponent(sae.id)}`;
}

/** A latent's page from its top to the end of its largest examples. */
async function upperPart(page, path, latent, first) {
  await page.goto(new URL(`${path}/latents/${latent}?per_group=${EXAMPLES}`, url).href);
  const group = page.locator('.example-group[data-group=top]');
  const note = page.locator('.note').first();
  await group.or(note).waitFor();
  if (await note.isVisible())
    throw new Error(`latent ${latent}: ${(await note.innerText()).split('\n')[0]}`);
  // Examples get their own height only once they have been drawn, a frame after they are there.
  await page.evaluate(
    () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
  );
  const end = await group.boundingBox();
  // The bar above all pages shows once.
  const y = first ? 0 : await page.locator('main').evaluate((main) => main.offsetTop);
  return page.screenshot({ clip: { x: 0, y, width: WIDTH, height: end.y + end.height - y } });
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu'],
});
try {
  const page = await browser.newPage({
    viewport: { width: WIDTH, height: 1600 },
    colorScheme: 'light',
  });
  const path = await saePath();
  const parts = [];
  for (const latent of latents) {
    parts.push(await upperPart(page, path, latent, parts.length === 0));
  }
  // Lower than any picture, so that the full page is no taller than its content.
  await page.setViewportSize({ width: WIDTH, height: 100 });
  const images = parts.map(
    (part) => `<img src="data:image/png;base64,${part.toString('base64')}">`,
  );
  await page.setContent(
    `<style>body{margin:0;display:grid;align-content:start;gap:${GAP}px}img{display:block}</style>${images.join('')}`,
  );
  await page.screenshot({ path: out, fullPage: true });
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await browser.close();
}
