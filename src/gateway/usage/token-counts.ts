import type { JsonObject } from '../json-object.ts';

/** More tokens than any call has; what is beyond is a broken counter, not usage. */
const mostTokens = 1e12;

const none: JsonObject = Object.freeze({});

/** A count as a provider sent it; null when it is no count that can be charged. */
export function countOf(value: unknown): number | null {
  return typeof value === 'number' && value >= 0 && value <= mostTokens && Number.isInteger(value)
    ? value
    : null;
}

/** A count of what is part of something: none when absent, and never more than the whole. */
export function partOf(value: unknown, whole: number): number {
  return Math.min(countOf(value) ?? 0, whole);
}

/** An object as it is; an empty one for anything else. */
export function recordOf(value: unknown): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : none;
}

/** An object as it is, null for anything else. */
export function objectOf(value: unknown): JsonObject | null {
  const record = recordOf(value);
  return record === none ? null : record;
}
