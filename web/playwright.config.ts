import { defineConfig } from '@playwright/test';

const server = process.env.SAE_URL;
if (server === undefined || server === '') {
  throw new Error(
    'SAE_URL is not set. Start `sae serve` on runs with an index, then: SAE_URL=http://127.0.0.1:8080 npm run test:browser',
  );
}

export default defineConfig({
  testDir: 'tests',
  fullyParallel: true,
  workers: 2,
  timeout: 30_000,
  forbidOnly: true,
  reporter: 'list',
  use: {
    baseURL: server,
    viewport: { width: 1280, height: 900 },
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
});
