import { z } from 'zod';
import { exportKind } from './export-lines.ts';

/** Lines of an export other than entries, exactly as they are written. */

const hex = z.string().regex(/^[0-9a-f]{64}$/);
const signature = z.string().regex(/^[0-9a-f]{128}$/);
const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const time = z.string().refine((text) => {
  const at = new Date(text);
  return !Number.isNaN(at.getTime()) && at.toISOString() === text;
});
const headerBase = z.strictObject({
  kind: z.literal(exportKind),
  tenant_id: z.string(),
  exported_at: time,
  first_leaf: count,
  pruned: z.array(z.strictObject({ level: count, index: count, hash: hex })).max(64),
});
const mostKeys = 1_000;
/** Version 1 told keys without their times. */
const headerLineV1 = headerBase.extend({
  version: z.literal(1),
  public_keys: z.array(z.string()).min(1).max(mostKeys),
});
const headerLineV2 = headerBase.extend({
  version: z.literal(2),
  keys: z
    .array(z.strictObject({ public_key: z.string(), created_at: time, retired_at: time.nullable() }))
    .min(1)
    .max(mostKeys),
});
export const headerLine = z.discriminatedUnion('version', [headerLineV1, headerLineV2]);
export const headLine = z.strictObject({
  head: z.strictObject({ size: count, root: hex, at: time, key_id: z.string(), signature }),
});
export const sealLine = z.strictObject({
  seal: z.strictObject({ lines: count, sha256: hex, at: time, key_id: z.string(), signature }),
});

/** @returns null when the line is not of that form, or the same could be written otherwise. */
export function parseLine<T>(schema: z.ZodType<T>, line: string): T | null {
  try {
    const value: unknown = JSON.parse(line);
    // Only as it is written: two lines that say the same must be the same.
    const parsed = JSON.stringify(value) === line ? schema.safeParse(value) : null;
    return parsed?.success ? parsed.data : null;
  } catch {
    return null;
  }
}

/** Whose an entry says that it is. */
export function tenantOf(entry: string): string | null {
  try {
    const { tenant_id } = JSON.parse(entry) as { tenant_id?: unknown };
    return typeof tenant_id === 'string' ? tenant_id : null;
  } catch {
    return null;
  }
}
