import { afterEach, describe, expect, it, vi } from 'vitest';
import { ApiError, getJson, withParams } from './client';

afterEach(() => vi.unstubAllGlobals());

const signal = new AbortController().signal;

async function failure(answer: () => Promise<Response>): Promise<ApiError> {
  vi.stubGlobal('fetch', answer);
  const error: unknown = await getJson('/saes', {}, signal).catch((e: unknown) => e);
  if (!(error instanceof ApiError)) throw new Error('expected an ApiError');
  return error;
}

describe('withParams', () => {
  it('leaves out what is not set, and keeps 0 and false', () => {
    const params = { a: null, b: undefined, c: '', d: 0, e: false, f: 'x&y' };
    expect(withParams('/p', params)).toBe('/p?d=0&e=false&f=x%26y');
    expect(withParams('/p', {})).toBe('/p');
  });
});

describe('getJson', () => {
  it('asks under the prefix and gives the body', async () => {
    const fetch = vi.fn(() => Promise.resolve(Response.json({ saes: [] })));
    vi.stubGlobal('fetch', fetch);
    expect(await getJson('/saes', { limit: 3 }, signal)).toEqual({ saes: [] });
    expect(fetch).toHaveBeenCalledWith('/api/v1/saes?limit=3', expect.anything());
  });

  it('passes on the server’s message', async () => {
    const body = { error: { code: 'not_found', message: 'There is no run x.' } };
    const error = await failure(() => Promise.resolve(Response.json(body, { status: 404 })));
    expect(error).toMatchObject({ status: 404, code: 'not_found', message: 'There is no run x.' });
  });

  it('says what it can of an answer without one', async () => {
    const error = await failure(() => Promise.resolve(new Response('<html>', { status: 502 })));
    expect(error.message).toContain('502');
    expect(error.message).toContain('/api/v1/saes');
  });

  it('names an answer that is not JSON', async () => {
    const error = await failure(() => Promise.resolve(new Response('<html>')));
    expect(error.message).toBe('The answer to /api/v1/saes is not JSON.');
  });

  it('says that the server does not answer', async () => {
    const error = await failure(() => Promise.reject(new TypeError('Failed to fetch')));
    expect(error.message).toContain('does not answer');
  });

  it('lets a cancelled request be just that', async () => {
    const controller = new AbortController();
    controller.abort();
    const abort = new DOMException('aborted', 'AbortError');
    vi.stubGlobal('fetch', () => Promise.reject(abort));
    await expect(getJson('/saes', {}, controller.signal)).rejects.toBe(abort);
  });
});
