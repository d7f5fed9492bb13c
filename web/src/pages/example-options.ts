import type { ExampleOptions } from '../api/queries';
import { intParam } from '../router';

export const DEFAULTS: ExampleOptions = { before: 12, after: 12, per_group: 10, seed: 0 };
export const MAX_CONTEXT = 200;
export const MAX_PER_GROUP = 100;

export function readExampleOptions(params: URLSearchParams): ExampleOptions {
  return {
    before: intParam(params, 'before', DEFAULTS.before, 0, MAX_CONTEXT),
    after: intParam(params, 'after', DEFAULTS.after, 0, MAX_CONTEXT),
    per_group: intParam(params, 'per_group', DEFAULTS.per_group, 1, MAX_PER_GROUP),
    seed: intParam(params, 'seed', DEFAULTS.seed),
  };
}
