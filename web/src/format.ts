const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat('en-US', {
  notation: 'compact',
  maximumSignificantDigits: 3,
});

export const formatCount = (n: number | null): string => (n === null ? '–' : whole.format(n));

/** 1234567 as 1.23M. */
export const formatCompact = (n: number): string => compact.format(n);

/** Three significant digits, without an exponent where that stays short. */
export function formatValue(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) return value.toExponential(2);
  if (size >= 100) return value.toFixed(size >= 1000 ? 0 : 1);
  return value.toPrecision(3);
}

/** A share of rows in percent; rare ones with an exponent, for they differ in that. */
export function formatDensity(density: number): string {
  if (density === 0) return '0';
  const percent = density * 100;
  if (percent < 0.001) return `${percent.toExponential(1)}%`;
  return `${percent >= 10 ? percent.toFixed(1) : percent.toPrecision(3)}%`;
}

/** Reads a density as people write it: `0.01`, `1e-4`, `0.5%`. Undefined when it is none. */
export function parseDensity(text: string): number | null | undefined {
  const trimmed = text.trim();
  if (trimmed === '') return null;
  const match = /^(\d*\.?\d+(?:e[+-]?\d+)?)\s*(%?)$/i.exec(trimmed);
  if (match === null) return undefined;
  const value = Number(match[1]) / (match[2] === '%' ? 100 : 1);
  return value >= 0 && value <= 1 ? value : undefined;
}

/** Where `density` stands between one row in `nRows` (0) and every row (1), on a log scale. */
export function densityPosition(density: number, nRows: number): number {
  if (density <= 0) return 0;
  const decades = Math.log10(Math.max(nRows, 10));
  // A latent that fires once still gets a visible sliver.
  return Math.min(1, Math.max(0.02, 1 + Math.log10(density) / decades));
}
