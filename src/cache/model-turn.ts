import type { Principal } from '../access/index.ts';
import type { Clock } from '../platform/clock.ts';
import { type CachedReply, replyOfEntry } from './cached-reply.ts';
import type { Entry } from './entry.ts';

export type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/** A call to a model, as far as the cache looks at it. */
export interface CacheableCall {
  readonly caller: { readonly principal: Principal; readonly correlationId: string };
  readonly model: string;
  readonly streamed: boolean;
  readonly dialect: { readonly name: string };
  readonly request: { readonly bytes: Buffer; readonly repeatable: boolean };
  /** Of the request over HTTP; absent for a call made in this process. */
  readonly headers?: RequestHeaders | undefined;
  readonly cancellation: { readonly reason: string | null; listen(listener: (() => void) | null): void };
}

/** What a model name stands for, as far as the cache looks at it. */
export interface CacheableRoute {
  readonly route: string | null;
  /** Changes with whatever of the route decides what it answers. */
  readonly version: string;
  readonly cache: {
    readonly mode: 'off' | 'exact' | 'semantic';
    readonly ttlSeconds?: number;
    readonly similarityThreshold?: number;
  };
}

/** One call's dealings with the cache. Ends with `keep`, `release` or `releaseAll`. */
export interface ModelTurn {
  /** An answer in place of a call. */
  readonly known: CachedReply | null;
  /** What the caller of an answer that is made now is told about the cache. */
  readonly headers: Readonly<Record<string, string>>;
  /** Bytes that an answer may have to be kept; 0 when none is. */
  readonly maxBytes: number;
  keep(reply: CachedReply): void | Promise<void>;
  release(): void;
  releaseAll(): void;
  stale(): CachedReply | null;
}

/** An entry as its caller gets it, told where it came from. */
export function replyFrom(entry: Entry, state: 'hit' | 'stale', clock: Pick<Clock, 'now'>): CachedReply {
  const known = replyOfEntry(entry);
  const ageSeconds = Math.max(0, Math.floor((clock.now().getTime() - entry.storedAtMs) / 1_000));
  return { ...known, headers: { ...known.headers, ...tellOf(state, entry.key), age: String(ageSeconds) } };
}

export function ttlOf({ cache: { ttlSeconds } }: CacheableRoute): number | undefined {
  return ttlSeconds === undefined ? undefined : ttlSeconds * 1_000;
}

export function tellOf(state: 'hit' | 'miss' | 'stale', key: string): Record<string, string> {
  return { 'x-gatehouse-cache': state, 'x-gatehouse-cache-key': key };
}
