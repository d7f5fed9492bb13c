import { describe, expect, it } from 'vitest';
import type { SaeDetail } from '../api/types';
import { figuresOf, sourceOf } from './figures';

const sae: SaeDetail = {
  id: 'run',
  status: 'trained',
  architecture: 'topk',
  method: null,
  d_in: 4,
  d_sae: 8,
  k: 2,
  model_name: 'model',
  hook_name: null,
  training: null,
  index: null,
  problem: null,
  config: '',
  eval: null,
  groups: [],
  columns: [],
};

const heldOut = (evaluation: SaeDetail['eval']) =>
  figuresOf({ ...sae, eval: evaluation }).find(({ label }) => label === 'FVU held out')?.value;

describe('figuresOf', () => {
  it('shows what an evaluation on held-out rows found', () => {
    expect(heldOut({ split: 'held out', fvu: 0.25 })).toBe('0.250');
  });
  it.each([[null], [{ split: 'all', fvu: 0.25 }], [{ split: 'held out', fvu: null }]])(
    'leaves it out of %j',
    (evaluation) => {
      expect(heldOut(evaluation)).toBeUndefined();
    },
  );
});

describe('sourceOf', () => {
  it('names the method only where it says more than the architecture', () => {
    expect(sourceOf({ ...sae, method: 'topk' })).toBe('topk · model');
    expect(sourceOf({ ...sae, method: 'batchtopk' })).toBe('topk · batchtopk · model');
  });
});
