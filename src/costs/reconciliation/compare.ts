import { scaled } from '../money.ts';
import {
  type ComparedClass,
  type ComparedTokens,
  comparedClasses,
  type ExportedUsage,
} from './exported-usage.ts';

/** What the ledger has of one day and model. */
export interface LedgerUsage {
  readonly day: string;
  /** As the provider named what answered, else as it was asked for. */
  readonly model: string;
  readonly calls: number;
  /** Calls without a price, whose money the ledger does not know. */
  readonly unpriced: number;
  readonly tokens: Readonly<Record<ComparedClass, number>>;
  readonly nanoUsd: bigint;
}

/** One side of a line. */
export interface Side {
  readonly calls: number | null;
  readonly tokens: ComparedTokens;
  readonly nanoUsd: bigint | null;
}

export interface ComparedLine {
  /** UTC; null: all days. */
  readonly day: string | null;
  /** Null: all models, or what the export does not tell by model. */
  readonly model: string | null;
  /** The names that were taken for this model. */
  readonly names: readonly string[];
  /** Null: not on that side. */
  readonly exported: Side | null;
  readonly ledger: (Side & { readonly unpriced: number }) | null;
  /** Export less ledger. */
  readonly drift: Side;
  readonly withinTolerance: boolean;
}

export interface Comparison {
  readonly total: ComparedLine;
  /** By day and model, the days in order. */
  readonly lines: readonly ComparedLine[];
}

interface Both {
  readonly day: string | null;
  readonly model: string | null;
  readonly names: Set<string>;
  exported: Side | null;
  ledger: (Side & { readonly unpriced: number }) | null;
}

/**
 * Compares what a provider says was used with what the ledger has of it, by UTC day and model. Only what the export tells
 * is compared: tokens or money. A line is within the tolerance when every figure of it is.
 * @param commonName brings the names of one model together.
 * @param tolerancePercent of the larger of two figures, a decimal with at most four places.
 */
export function compare(
  exported: ExportedUsage,
  ledger: readonly LedgerUsage[],
  commonName: (model: string) => string,
  tolerancePercent: string,
): Comparison {
  const byModel = exported.rows.some(({ model }) => model !== null);
  const found = new Map<string, Both>();
  const at = (day: string, name: string | null): Both => {
    const model = name === null || !byModel ? null : commonName(name);
    const key = `${day} ${model ?? ''}`;
    const both = found.get(key) ?? { day, model, names: new Set(), exported: null, ledger: null };
    found.set(key, both);
    if (name !== null && byModel) both.names.add(name);
    return both;
  };
  const total: Both = { day: null, model: null, names: new Set(), exported: null, ledger: null };
  for (const row of exported.rows) {
    const side = { calls: row.requests, tokens: row.tokens ?? {}, nanoUsd: row.nanoUsd };
    for (const both of [at(row.day, row.model), total]) both.exported = sum(both.exported, side);
  }
  for (const row of ledger) {
    const side = { ...told(row, exported), unpriced: row.unpriced };
    for (const both of [at(row.day, row.model), total]) {
      const unpriced = (both.ledger?.unpriced ?? 0) + row.unpriced;
      both.ledger = { ...sum(both.ledger, side), unpriced };
    }
  }
  const tolerance = scaled(tolerancePercent, 4);
  const lines = [...found.values()].map((both) => lineOf(both, exported, tolerance));
  lines.sort((a, b) => order(a.day, b.day) || order(a.model, b.model));
  return { total: lineOf(total, exported, tolerance), lines };
}

/** What of the ledger the export tells, too. */
function told(row: LedgerUsage, { classes, tellsMoney }: ExportedUsage): Side {
  const tokens = Object.fromEntries(classes.map((name) => [name, row.tokens[name]]));
  return { calls: row.calls, tokens, nanoUsd: tellsMoney ? row.nanoUsd : null };
}

function sum(a: Side | null, b: Side): Side {
  if (a === null) return b;
  const tokens: Partial<Record<ComparedClass, number>> = {};
  for (const name of comparedClasses) {
    if (a.tokens[name] !== undefined || b.tokens[name] !== undefined) {
      tokens[name] = (a.tokens[name] ?? 0) + (b.tokens[name] ?? 0);
    }
  }
  return {
    calls: a.calls === null && b.calls === null ? null : (a.calls ?? 0) + (b.calls ?? 0),
    tokens,
    nanoUsd: a.nanoUsd === null && b.nanoUsd === null ? null : (a.nanoUsd ?? 0n) + (b.nanoUsd ?? 0n),
  };
}

function lineOf(both: Both, told: ExportedUsage, tolerance: bigint): ComparedLine {
  const { classes, tellsMoney, tellsCalls } = told;
  const { day, model, names, exported, ledger } = both;
  const difference = (of: (side: Side) => number | null | undefined) =>
    ((exported && of(exported)) ?? 0) - ((ledger && of(ledger)) ?? 0);
  const counted = classes.map((name): [ComparedClass, number] => [
    name,
    difference(({ tokens }) => tokens[name]),
  ]);
  const money = tellsMoney ? (exported?.nanoUsd ?? 0n) - (ledger?.nanoUsd ?? 0n) : null;
  const within = (drift: bigint, a: bigint, b: bigint) =>
    abs(drift) * wholePercent <= tolerance * larger(abs(a), abs(b));
  const tokensOf = (side: Side | null, name: ComparedClass) => BigInt(side?.tokens[name] ?? 0);
  return {
    day,
    model,
    names: [...names].sort(),
    exported,
    ledger,
    drift: {
      // How often is told by some exports only, and is no figure that is paid for: shown, and not held against anyone.
      calls: tellsCalls ? difference(({ calls }) => calls) : null,
      tokens: Object.fromEntries(counted),
      nanoUsd: money,
    },
    withinTolerance:
      counted.every(([name, drift]) =>
        within(BigInt(drift), tokensOf(exported, name), tokensOf(ledger, name)),
      ) &&
      (money === null || within(money, exported?.nanoUsd ?? 0n, ledger?.nanoUsd ?? 0n)),
  };
}

/** 100 % in ten-thousandths of a percent. */
const wholePercent = 1_000_000n;

function larger(a: bigint, b: bigint): bigint {
  return b < a ? a : b;
}

function abs(value: bigint): bigint {
  return value < 0n ? -value : value;
}

function order(a: string | null, b: string | null): number {
  const [x, y] = [a ?? '', b ?? ''];
  return x < y ? -1 : x > y ? 1 : 0;
}
