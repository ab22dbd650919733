/** Tokens by class, as the ledger counts them; cached reads and writes are part of the input, reasoning of the output. */
export const tokenClasses = [
  'input',
  'cached_read',
  'cache_write_5m',
  'cache_write_1h',
  'output',
  'reasoning',
  'image',
  'audio',
] as const;
export type TokenClass = (typeof tokenClasses)[number];
export type Tokens = Readonly<Record<TokenClass, number>>;

/**
 * `usage`: calls of the month. `unpriced`: those of them without a price, which cost nothing here until they have one.
 * `late`: calls of an earlier month that were recorded after its invoice. `adjustment`: credits, corrections and repricing.
 */
export type LineKind = 'usage' | 'unpriced' | 'late' | 'adjustment';

/** A line before the total is known. */
export interface InvoiceItem {
  readonly kind: LineKind;
  /** The month whose calls it is about, `YYYY-MM`; `earlier`: before the first invoice. */
  readonly month: string;
  /** Null: of several. */
  readonly provider: string | null;
  readonly model: string | null;
  readonly description: string | null;
  /** Calls; of adjustments, how many there are. */
  readonly count: number;
  /** Rows of the ledger, earlier attempts of calls included; 0 of adjustments. */
  readonly rows: number;
  readonly tokens: Tokens;
  readonly nanoUsd: bigint;
}

export interface InvoiceLine extends InvoiceItem {
  /** Its share of the total in cents, so that what is shown adds up to what is asked for. */
  readonly cents: bigint;
}

export interface InvoiceSums {
  readonly lines: readonly InvoiceLine[];
  readonly exactNanoUsd: bigint;
  readonly totalCents: bigint;
}

const nanoPerCent = 10_000_000n;

/**
 * The total is the exact sum, rounded half up to the cent once. Lines get whole cents by largest remainder: each what it
 * is rounded down, and the cents that then lack go to those that lost most by it, the first of equals.
 */
export function sumsOf(items: readonly InvoiceItem[]): InvoiceSums {
  const exactNanoUsd = items.reduce((sum, { nanoUsd }) => sum + nanoUsd, 0n);
  const totalCents = floorDiv(exactNanoUsd + nanoPerCent / 2n, nanoPerCent);
  const floors = items.map(({ nanoUsd }) => floorDiv(nanoUsd, nanoPerCent));
  const lacking = totalCents - floors.reduce((sum, cents) => sum + cents, 0n);
  const remainder = (index: number) => (items[index]?.nanoUsd ?? 0n) - (floors[index] ?? 0n) * nanoPerCent;
  const mostLost = items
    .map((_, index) => index)
    .sort((a, b) => compare(remainder(b), remainder(a)) || a - b)
    .slice(0, Number(lacking));
  const raised = new Set(mostLost);
  const lines = items.map((item, index) => ({
    ...item,
    cents: (floors[index] ?? 0n) + (raised.has(index) ? 1n : 0n),
  }));
  return { lines, exactNanoUsd, totalCents };
}

/** Rounds towards minus infinity, as half up wants it for credits too. */
function floorDiv(value: bigint, by: bigint): bigint {
  const quotient = value / by;
  return value % by < 0n ? quotient - 1n : quotient;
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** @returns cents as dollars with two places, such as `-12.05`. */
export function usdFromCents(cents: bigint): string {
  const sign = cents < 0n ? '-' : '';
  const digits = (cents < 0n ? -cents : cents).toString().padStart(3, '0');
  return `${sign}${digits.slice(0, -2)}.${digits.slice(-2)}`;
}

/** How a line is kept: money as strings, because a number of JSON loses digits. */
export interface StoredLine extends Omit<InvoiceLine, 'nanoUsd' | 'cents'> {
  readonly nano_usd: string;
  readonly cents: string;
}

export function stored({ nanoUsd, cents, ...plain }: InvoiceLine): StoredLine {
  return { ...plain, nano_usd: String(nanoUsd), cents: String(cents) };
}

export function restored({ nano_usd, cents, ...plain }: StoredLine): InvoiceLine {
  return { ...plain, nanoUsd: BigInt(nano_usd), cents: BigInt(cents) };
}
