/** What an entry is for; a label of the metrics. */
export const entryKinds = ['model', 'knowledge', 'embedding'] as const;
export type EntryKind = (typeof entryKinds)[number];

/** Where an entry is found. Who may share it was decided when the key was made (`cache-key.ts`). */
export interface EntryName {
  readonly tenantId: string;
  readonly kind: EntryKind;
  /** 64 hexadecimal digits, as `keyOf` makes them. */
  readonly key: string;
}

/** What is to be kept. */
export interface NewEntry {
  /** At most `maxEntryBytes`; more is not kept. Copied, so the caller may go on with it. */
  readonly body: Buffer;
  /** What has to be known of the body besides, as JSON or plain text of the caller's own form. */
  readonly facts?: string;
  /** What the answer was made from, such as `document:<id>`; removing one of them removes the entry. At most `maxTags`. */
  readonly tags?: readonly string[];
  /** How long it is good for, milliseconds; absent: the store's default. At most `maxTtlMs`. */
  readonly ttlMs?: number | undefined;
  /** What a hit saves, nano-dollars; null when that is not known. */
  readonly costNanoUsd?: bigint | null;
}

/** An answer as it is kept. Never changed: a newer one takes its place. */
export interface Entry {
  readonly kind: EntryKind;
  readonly key: string;
  readonly body: Buffer;
  readonly facts: string;
  readonly tags: readonly string[];
  readonly costNanoUsd: bigint | null;
  /** Milliseconds since 1970, as the three that follow. */
  readonly storedAtMs: number;
  /** From here on it is made anew. */
  readonly expiresAtMs: number;
  /** Until here it may stand in when making it anew failed. */
  readonly staleUntilMs: number;
  /** How long making it took, milliseconds; what early expiration reckons with. */
  readonly computeMs: number;
}

/** Answers above this are seldom asked for twice, and a few of them would fill the cache. */
export const maxEntryBytes = 1024 * 1024;
export const maxTags = 256;
export const maxTagLength = 200;
/** The longest time to live, and the longest time past it: 24 h each. */
export const maxTtlMs = 24 * 60 * 60 * 1_000;

/** What an entry takes of memory beside its contents: maps, objects, strings' headers. Measured on Node 24, rounded up. */
const overheadBytes = 768;
const bytesPerCharacter = 2;

/** @returns an upper estimate of the memory that an entry takes, bytes. */
export function entryBytes(entry: Pick<Entry, 'body' | 'facts' | 'tags'>): number {
  const tags = entry.tags.reduce((sum, tag) => sum + tag.length * bytesPerCharacter + 128, 0);
  return overheadBytes + entry.body.length + entry.facts.length * bytesPerCharacter + tags;
}
