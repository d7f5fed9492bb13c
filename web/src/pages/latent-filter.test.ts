import { describe, expect, it } from 'vitest';
import { patchSearch } from '../router';
import { readFilter, sortBy } from './latent-filter';

const read = (search: string) => readFilter(new URLSearchParams(search));

describe('readFilter', () => {
  it('has the server’s defaults', () => {
    expect(read('')).toEqual({
      sort: 'density',
      order: 'desc',
      min_density: null,
      max_density: null,
      token: '',
      alive: false,
    });
    expect(read('sort=id').order).toBe('asc');
  });
  it('reads every part, and takes what it cannot read for absent', () => {
    expect(
      read('sort=max&order=asc&min_density=1%25&max_density=0.5&token=ing&alive=true'),
    ).toEqual({
      sort: 'max',
      order: 'asc',
      min_density: 0.01,
      max_density: 0.5,
      token: 'ing',
      alive: true,
    });
    expect(read('sort=size&order=up&min_density=x&max_density=7&alive=1')).toEqual(read(''));
  });
});

describe('sortBy', () => {
  it('starts with the usual order and turns it at every further click', () => {
    for (const sort of ['density', 'max', 'mean', 'id'] as const) {
      let search = '?sort=' + (sort === 'max' ? 'mean' : 'max');
      const orders = [0, 1, 2].map(() => {
        search = patchSearch(search, sortBy(read(search), sort));
        expect(read(search).sort).toBe(sort);
        return read(search).order;
      });
      expect(orders).toEqual(sort === 'id' ? ['asc', 'desc', 'asc'] : ['desc', 'asc', 'desc']);
    }
  });
});
