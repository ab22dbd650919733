import { noUsage, type TokenUsage } from '../costs/index.ts';
import type { Entry, NewEntry } from './entry.ts';

/** A model's answer as it left, whole or as a stream with its end mark. */
export interface CachedReply {
  readonly streamed: boolean;
  readonly contentType: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly generatedBy: { readonly tier: string; readonly provider: string; readonly model: string };
  readonly usage: TokenUsage;
  /** What the call cost that made it, nano-dollars; null without a price. */
  readonly costNanoUsd: bigint | null;
  /** When it was made, milliseconds since 1970. */
  readonly storedAtMs: number;
}

/** What is kept of it beside its bytes. */
type Facts = Pick<CachedReply, 'streamed' | 'contentType' | 'headers' | 'generatedBy' | 'usage'>;

export function entryOfReply(reply: CachedReply): NewEntry {
  const { streamed, contentType, headers, generatedBy, usage, body, costNanoUsd } = reply;
  const facts: Facts = { streamed, contentType, headers, generatedBy, usage };
  return { body, facts: JSON.stringify(facts), costNanoUsd };
}

export function replyOfEntry(entry: Entry): CachedReply {
  const facts = JSON.parse(entry.facts) as Facts;
  return {
    ...facts,
    usage: { ...noUsage, ...facts.usage },
    body: entry.body,
    costNanoUsd: entry.costNanoUsd,
    storedAtMs: entry.storedAtMs,
  };
}
