import { describe, expect, it } from 'vitest';
import { densityPosition, formatDensity, formatValue, parseDensity } from './format';

describe('formatValue', () => {
  it.each([
    [0, '0'],
    [1.2345, '1.23'],
    [-12.345, '-12.3'],
    [123.45, '123.5'],
    [12345.6, '12346'],
    [1e6, '1.00e+6'],
    [0.00012, '1.20e-4'],
    [null, '–'],
    [Number.NaN, '–'],
  ])('%s', (value, text) => {
    expect(formatValue(value)).toBe(text);
  });
});

describe('formatDensity', () => {
  it.each([
    [0, '0'],
    [1, '100.0%'],
    [0.0123, '1.23%'],
    [0.000045, '0.00450%'],
    [1e-7, '1.0e-5%'],
  ])('%s', (density, text) => {
    expect(formatDensity(density)).toBe(text);
  });
});

describe('parseDensity', () => {
  it.each([
    ['', null],
    ['  ', null],
    ['0.5', 0.5],
    ['.5', 0.5],
    ['1e-4', 1e-4],
    ['1E-4', 1e-4],
    ['25%', 0.25],
    ['25 %', 0.25],
    ['0', 0],
    ['1', 1],
  ])('reads %j', (text, density) => {
    expect(parseDensity(text)).toBe(density);
  });
  it.each(['2', '101%', '-0.1', 'x', '1e', '%', '0.1.2', 'Infinity'])('refuses %j', (text) => {
    expect(parseDensity(text)).toBeUndefined();
  });
  it('reads back what formatDensity writes', () => {
    for (let exponent = 0; exponent > -8; exponent -= 0.3) {
      const density = 10 ** exponent;
      const read = parseDensity(formatDensity(density)) ?? 0;
      expect(Math.abs(read / density - 1)).toBeLessThan(0.05);
    }
  });
});

describe('densityPosition', () => {
  it('is 1 for every row, small but not 0 for one, and grows in between', () => {
    expect(densityPosition(1, 1e6)).toBe(1);
    expect(densityPosition(0, 1e6)).toBe(0);
    const positions = [1e-6, 1e-5, 1e-3, 0.1, 1].map((density) => densityPosition(density, 1e6));
    expect(positions).toEqual(positions.toSorted((a, b) => a - b));
    expect(positions[0]).toBeGreaterThan(0);
    expect(densityPosition(1e-3, 1e6)).toBeCloseTo(0.5);
  });
});
