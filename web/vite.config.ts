import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

const server = process.env.SAE_URL ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [react()],
  // The first versions with light-dark(), so that the CSS is left as written.
  build: { target: ['chrome123', 'firefox120', 'safari17.5'] },
  server: { proxy: { '/api': server } },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
});
