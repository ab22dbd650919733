import { type Entry, type EntryKind, maxEntryBytes } from './entry.ts';

/** What stands before the body, as JSON. */
interface Head {
  readonly tenant: string;
  readonly kind: EntryKind;
  readonly key: string;
  readonly facts: string;
  readonly tags: readonly string[];
  readonly cost: string | null;
  readonly stored: number;
  readonly expires: number;
  readonly staleUntil: number;
  readonly compute: number;
}

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
    tags: entry.tags,
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

function headOf(bytes: Buffer): Head | null {
  try {
    const head = JSON.parse(bytes.toString('utf8')) as Head;
    return Array.isArray(head.tags) ? head : null;
  } catch {
    return null;
  }
}
