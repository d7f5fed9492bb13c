import { describe, expect, it } from 'vitest';
import { curvesOf } from './curves';
import { barHeight } from './histogram';

describe('curvesOf', () => {
  it('takes the known numbers, and skips lines without them', () => {
    const curves = curvesOf([
      { step: 1, loss: 4, l0: 10, extra: 1 },
      { step: 2, loss: 2, fvu: 0.5 },
      { event: 'checkpoint', step: 2 },
      { step: 3, loss: null, l0: 8 },
    ]);
    expect(curves.map((curve) => curve.name)).toEqual(['loss', 'l0']);
    expect(curves[0]?.points).toEqual([
      { step: 1, value: 4 },
      { step: 2, value: 2 },
    ]);
  });
  it('draws nothing of a single point', () => {
    expect(curvesOf([{ step: 1, loss: 4 }])).toEqual([]);
  });
});

describe('barHeight', () => {
  it('is 0 without firings and 1 for the fullest bin, on either scale', () => {
    for (const log of [false, true]) {
      expect(barHeight(0, 100, log)).toBe(0);
      expect(barHeight(100, 100, log)).toBe(1);
      expect(barHeight(0, 0, log)).toBe(0);
    }
  });
  it('lifts rare bins on the log scale', () => {
    expect(barHeight(1, 1000, true)).toBeGreaterThan(0.05);
    expect(barHeight(1, 1000, false)).toBe(0.001);
  });
});
