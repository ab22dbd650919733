import type { TokenUsage } from '../../costs/index.ts';
import type { JsonObject } from '../json-object.ts';

/**
 * How one API tells what a call came to. The ledger keeps the provider's own words, so usage is taken from what it
 * sent and not from a translation of it, which knows fewer classes of tokens.
 */
export interface UsageReader {
  /** @param body a whole reply, parsed. @returns its usage as it stands there; null when it has none. */
  inReply(body: unknown): JsonObject | null;
  /**
   * @param chunk a stream's event, parsed.
   * @param before what the events before it told.
   * @returns what is known now; `before` itself when the event tells nothing.
   */
  inChunk(chunk: unknown, before: JsonObject | null): JsonObject | null;
  /** Tokens by class; null when there are no counts that can be charged. */
  read(raw: JsonObject): TokenUsage | null;
}
