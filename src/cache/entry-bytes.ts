import { z } from 'zod';
import { type Entry, entryKinds, maxEntryBytes } from './entry.ts';

/** What stands before the body, as JSON. */
const headSchema = z.object({
  tenant: z.string(),
  kind: z.enum(entryKinds),
  key: z.string(),
  facts: z.string(),
  tags: z.array(z.string()),
  cost: z
    .string()
    .regex(/^-?\d+$/)
    .nullable(),
  stored: z.number(),
  expires: z.number(),
  staleUntil: z.number(),
  compute: z.number(),
});
type Head = Readonly<z.infer<typeof headSchema>>;

/** The first byte of each entry; another form gets another number, and entries of the old form are misses. */
const form = 1;
const bytesBeforeHead = 5;

/** An entry as one value: the form, the head's length, the head, the body. */
export function encodeEntry(tenantId: string, entry: Entry): Buffer {
  const head: Head = {
    tenant: tenantId,
    kind: entry.kind,
    key: entry.key,
    facts: entry.facts,
    tags: [...entry.tags],
    cost: entry.costNanoUsd === null ? null : String(entry.costNanoUsd),
    stored: entry.storedAtMs,
    expires: entry.expiresAtMs,
    staleUntil: entry.staleUntilMs,
    compute: entry.computeMs,
  };
  const headBytes = Buffer.from(JSON.stringify(head));
  const start = Buffer.alloc(bytesBeforeHead);
  start.writeUInt8(form, 0);
  start.writeUInt32BE(headBytes.length, 1);
  return Buffer.concat([start, headBytes, entry.body]);
}

/** @returns null for anything that is not an entry of this tenant under this key. */
export function decodeEntry(tenantId: string, key: string, value: Buffer): Entry | null {
  if (value.length < bytesBeforeHead || value.readUInt8(0) !== form) return null;
  const bodyStart = bytesBeforeHead + value.readUInt32BE(1);
  if (bodyStart > value.length || value.length - bodyStart > maxEntryBytes) return null;
  const head = headOf(value.subarray(bytesBeforeHead, bodyStart));
  if (head === null || head.tenant !== tenantId || head.key !== key) return null;
  const body = Buffer.allocUnsafeSlow(value.length - bodyStart);
  value.copy(body, 0, bodyStart);
  return {
    kind: head.kind,
    key,
    body,
    facts: head.facts,
    tags: head.tags,
    costNanoUsd: head.cost === null ? null : BigInt(head.cost),
    storedAtMs: head.stored,
    expiresAtMs: head.expires,
    staleUntilMs: head.staleUntil,
    computeMs: head.compute,
  };
}

/** Null for what is not a head: bytes from elsewhere are read with care. */
function headOf(bytes: Buffer): Head | null {
  try {
    const head = headSchema.safeParse(JSON.parse(bytes.toString('utf8')));
    return head.success ? head.data : null;
  } catch {
    return null;
  }
}
