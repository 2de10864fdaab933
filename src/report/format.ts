/** Figures as people read them. Every function states its unit; none rounds a figure to hide a difference. */

const steps = [
  { limit: 1e12, suffix: 'T' },
  { limit: 1e9, suffix: 'G' },
  { limit: 1e6, suffix: 'M' },
  { limit: 1e3, suffix: 'k' },
] as const;

/** `1.17G`, `133.6M`, `42.0k`, `7`: four significant digits at most, decimal prefixes. */
export function formatCount(value: number): string {
  const step = steps.find(({ limit }) => Math.abs(value) >= limit);
  if (!step) return Number.isInteger(value) ? String(value) : significant(value, 3);
  return `${significant(value / step.limit, 4)}${step.suffix}`;
}

/** Bytes with binary prefixes: `3.42 GiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return unit === 0 ? `${value} B` : `${significant(value, 3)} ${units[unit]}`;
}

/** A measured time with four significant digits: `1.276 s`, `12.34 ms`, `45.10 µs`. */
export function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  if (seconds >= 1) return `${significant(seconds, 4)} s`;
  return seconds >= 1e-3 ? `${significant(seconds * 1e3, 4)} ms` : `${significant(seconds * 1e6, 4)} µs`;
}

/** Seconds as `0.8 s`, `12 s`, `3:05`, `2:10:00`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const pad = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
}

/** A share as a percentage with one decimal: `41.3 %`. */
export function formatPercent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

/** An integer with thin groups: `133,576,096`. */
export function formatInteger(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

function significant(value: number, digits: number): string {
  if (value === 0) return '0';
  const before = Math.floor(Math.log10(Math.abs(value))) + 1;
  return value.toFixed(Math.min(Math.max(0, digits - before), 8));
}
