import type { JsonObject } from '../json-object.ts';

/** The usage of one call that took several requests: counts are added up, the rest is as it was told first. */
export function addUsage(before: JsonObject, after: JsonObject): JsonObject {
  const sum: Record<string, unknown> = { ...after, ...before };
  for (const [name, value] of Object.entries(after)) {
    const known = before[name];
    if (typeof known === 'number' && typeof value === 'number') sum[name] = known + value;
  }
  return sum;
}
