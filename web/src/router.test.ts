import { describe, expect, it } from 'vitest';
import { intParam, matchRoute, patchSearch, paths } from './router';

describe('matchRoute', () => {
  it.each([
    ['/', { page: 'saes' }],
    ['/saes/a', { page: 'latents', sae: 'a' }],
    ['/saes/a/', { page: 'latents', sae: 'a' }],
    ['/saes/a/latents', { page: 'latents', sae: 'a' }],
    ['/saes/a/latents/7', { page: 'latent', sae: 'a', latent: 7 }],
    ['/saes/a/documents', { page: 'documents', sae: 'a' }],
    ['/saes/a/documents/-3', { page: 'document', sae: 'a', docId: -3 }],
    ['/saes', { page: 'not-found' }],
    ['/saes/a/neurons', { page: 'not-found' }],
    ['/saes/a/latents/x', { page: 'not-found' }],
    ['/saes/a/latents/7/more', { page: 'not-found' }],
    ['/saes/%E0%A4%A', { page: 'not-found' }],
  ])('%s', (path, route) => {
    expect(matchRoute(path)).toEqual(route);
  });

  it.each(['plain', 'sweep/k=32', 'ü 100%', 'a?b#c'])('finds the way back to %j', (sae) => {
    expect(matchRoute(paths.latents(sae))).toEqual({ page: 'latents', sae });
    expect(matchRoute(paths.latent(sae, 5))).toEqual({ page: 'latent', sae, latent: 5 });
    expect(matchRoute(paths.documents(sae))).toEqual({ page: 'documents', sae });
    expect(matchRoute(paths.document(sae, 5))).toEqual({ page: 'document', sae, docId: 5 });
  });
});

describe('patchSearch', () => {
  it('sets, replaces and takes out, and leaves the rest', () => {
    expect(patchSearch('', { a: 1 })).toBe('?a=1');
    expect(patchSearch('?a=1&b=2', { a: 'x y' })).toBe('?a=x+y&b=2');
    expect(patchSearch('?a=1&b=2', { a: null })).toBe('?b=2');
    expect(patchSearch('?a=1', { a: '' })).toBe('');
    expect(patchSearch('?a=true', { a: false })).toBe('');
    expect(patchSearch('', { seed: 0 })).toBe('?seed=0');
  });
});

describe('intParam', () => {
  it('keeps within bounds and falls back on what is no whole number', () => {
    const params = new URLSearchParams('a=7&b=x&c=1.5&d=-4&e=');
    expect(intParam(params, 'a', 1)).toBe(7);
    expect(intParam(params, 'a', 1, 0, 5)).toBe(5);
    expect(intParam(params, 'd', 1)).toBe(0);
    for (const name of ['b', 'c', 'e', 'missing']) expect(intParam(params, name, 1)).toBe(1);
  });
});
