import { digestOf } from './journal.ts';
import type { PromptTokens } from './model-call.ts';
import type { ServedTokens } from './served.ts';

/** A stretch of a prompt. With `keepFor` the prompt up to its end is put into the cache. */
export interface PromptPart {
  /** What tells it from another; equal texts give equal prefixes. */
  readonly content: string;
  readonly tokens: number;
  readonly keepFor?: '5m' | '1h' | undefined;
}

export interface CacheUse {
  readonly readTokens: number;
  readonly write5mTokens: number;
  readonly write1hTokens: number;
}

export interface PromptCache {
  /**
   * Reads the longest prefix that is cached for the key and model, and writes those after it that ask to be kept.
   * A prefix that is read lives its time again.
   */
  use(owner: string, parts: readonly PromptPart[]): CacheUse;
  clear(): void;
}

const lifeMs = { '5m': 5 * 60_000, '1h': 60 * 60_000 } as const;
const maxEntries = 10_000;

/**
 * The prompt cache that a request asks for by marks in it, as Anthropic and Bedrock have it. There is no least length:
 * short prompts are cached too, so that tests can be small. At most 10,000 prefixes; past that the longest unused go.
 */
export function createPromptCache(now: () => number): PromptCache {
  const entries = new Map<string, { endsAt: number; readonly keepFor: '5m' | '1h' }>();

  function keep(key: string, keepFor: '5m' | '1h'): void {
    entries.delete(key);
    entries.set(key, { endsAt: now() + lifeMs[keepFor], keepFor });
    if (entries.size > maxEntries) entries.delete(entries.keys().next().value ?? '');
  }

  return {
    use(owner, parts) {
      const marks = marksOf(owner, parts);
      const readTo = marks.findLastIndex(({ key }) => (entries.get(key)?.endsAt ?? 0) > now());
      const read = marks[readTo];
      if (read) keep(read.key, entries.get(read.key)?.keepFor ?? '5m');
      let before = read?.tokens ?? 0;
      const written = { '5m': 0, '1h': 0 };
      for (const mark of marks.slice(readTo + 1)) {
        written[mark.keepFor] += mark.tokens - before;
        before = mark.tokens;
        keep(mark.key, mark.keepFor);
      }
      return {
        readTokens: read?.tokens ?? 0,
        write5mTokens: written['5m'],
        write1hTokens: written['1h'],
      };
    },
    clear: () => entries.clear(),
  };
}

/** The prefixes that are marked, with all their tokens. */
function marksOf(
  owner: string,
  parts: readonly PromptPart[],
): { readonly key: string; readonly tokens: number; readonly keepFor: '5m' | '1h' }[] {
  let key = digestOf(owner);
  let tokens = 0;
  const marks = [];
  for (const part of parts) {
    key = digestOf(`${key}\n${part.content}`);
    tokens += part.tokens;
    if (part.keepFor) marks.push({ key, tokens, keepFor: part.keepFor });
  }
  return marks;
}

/** What a call reads from and writes to the cache; `cachedTokens` is read instead, when given. */
export function cacheUse(
  cache: PromptCache,
  owner: string,
  call: { readonly promptParts: readonly PromptPart[]; readonly prompt: PromptTokens },
  cachedTokens: number | undefined,
): Pick<ServedTokens, 'cachedReadTokens' | 'cacheWrite5mTokens' | 'cacheWrite1hTokens'> {
  if (cachedTokens !== undefined) {
    const cachedReadTokens = Math.min(cachedTokens, call.prompt.all);
    return { cachedReadTokens, cacheWrite5mTokens: 0, cacheWrite1hTokens: 0 };
  }
  const { readTokens, write5mTokens, write1hTokens } = cache.use(owner, call.promptParts);
  return {
    cachedReadTokens: readTokens,
    cacheWrite5mTokens: write5mTokens,
    cacheWrite1hTokens: write1hTokens,
  };
}
