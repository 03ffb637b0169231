/**
 * Numbers and times as the Python half prints them, so that the panel and `%nq_ls` say the same.
 */

const SIZE_UNITS = ['B', 'KiB', 'MiB', 'GiB'];
const AGE_UNITS: [number, string][] = [
  [86_400, 'd'],
  [3_600, 'h'],
  [60, 'min'],
  [1, 's']
];
const COMPACT_COUNT = 10_000;
const COMPACT_ROWS = 10_000_000;

/** Format a number of bytes in the unit that suits it: `3.0 MiB`. */
export function formatBytes(bytes: number): string {
  let unit = 0;
  while (bytes >= 1024 && unit < SIZE_UNITS.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  return `${bytes.toFixed(unit === 0 ? 0 : 1)} ${SIZE_UNITS[unit]}`;
}

/** Format a number of rows: exact below ten million, `56.1M` above. */
export function formatRows(rows: number): string {
  const options: Intl.NumberFormatOptions =
    rows < COMPACT_ROWS
      ? {}
      : { notation: 'compact', maximumFractionDigits: 1 };
  return new Intl.NumberFormat('en-US', options).format(rows);
}

/** Format a number of messages: exact below ten thousand, `12.3K` above. */
export function formatCount(count: number): string {
  const options: Intl.NumberFormatOptions =
    count < COMPACT_COUNT
      ? {}
      : { notation: 'compact', maximumFractionDigits: 1 };
  return new Intl.NumberFormat('en-US', options).format(count);
}

/** Format messages per second: one decimal below ten; a dash while nobody knows. */
export function formatRate(rate: number | null): string {
  if (rate === null) {
    return '–';
  }
  return formatCount(rate < 10 ? Math.round(10 * rate) / 10 : Math.round(rate));
}

/** Format the time since `created` (ISO 8601) in its largest unit: `3 h`; empty below a second. */
export function formatAge(created: string, nowMs: number): string {
  const seconds = Math.max(0, nowMs - Date.parse(created)) / 1000;
  for (const [length, unit] of AGE_UNITS) {
    if (seconds >= length) {
      return `${Math.floor(seconds / length)} ${unit}`;
    }
  }
  return '';
}
