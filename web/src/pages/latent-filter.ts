import type { LatentFilter } from '../api/queries';
import { parseDensity } from '../format';

const SORTS: LatentFilter['sort'][] = ['density', 'max', 'mean', 'id'];

export const defaultOrder = (sort: LatentFilter['sort']): LatentFilter['order'] =>
  sort === 'id' ? 'asc' : 'desc';

/** The list's filter as the URL has it; what cannot be read counts as absent. */
export function readFilter(params: URLSearchParams): LatentFilter {
  const sort = SORTS.find((name) => name === params.get('sort')) ?? 'density';
  const order = params.get('order');
  return {
    sort,
    order: order === 'asc' || order === 'desc' ? order : defaultOrder(sort),
    min_density: parseDensity(params.get('min_density') ?? '') ?? null,
    max_density: parseDensity(params.get('max_density') ?? '') ?? null,
    token: params.get('token') ?? '',
    alive: params.get('alive') === 'true',
  };
}

/** What the URL becomes when a column's header is clicked: its default order, then the other. */
export function sortBy(filter: LatentFilter, sort: LatentFilter['sort']) {
  const usual = defaultOrder(sort);
  const other = usual === 'asc' ? 'desc' : 'asc';
  const flip = filter.sort === sort && filter.order === usual;
  return { sort: sort === 'density' ? null : sort, order: flip ? other : null };
}
