import { brokenStatus, type Reply } from './run-users.ts';
import { percentileOf } from './statistics.ts';
import { type Kind, kinds } from './users-traffic.ts';

/** The provider's own time, as those measured it who asked it directly in the same run. Milliseconds. */
export interface ProviderTimes {
  readonly chat: number;
  readonly embeddings: number;
  readonly stream: number;
  readonly streamFirstToken: number;
  /** Between the tokens of a stream. */
  readonly tokenStep: number;
}

/** What replies came to, by kind. */
export interface Tally {
  note(reply: Reply): void;
  answered(): number;
  errors(): readonly string[];
  errorCount(): number;
  of(kind: Kind): Times;
}

/** Milliseconds; only of replies that count: asked after everyone had come, and answered well. */
export interface Times {
  answered: number;
  failed: number;
  readonly totalMs: number[];
  readonly firstTokenMs: number[];
  /** Tokens that a model wrote for the reply, where the reply tells: one for each `totalMs`. */
  readonly outputTokens: number[];
}

const shownErrors = 5;
const shownCharacters = 400;

/** @param countFrom when everyone has come, by the performance clock. */
export function createTally(countFrom: number): Tally {
  const times = new Map<Kind, Times>(
    kinds.map((kind) => [
      kind,
      { answered: 0, failed: 0, totalMs: [], firstTokenMs: [], outputTokens: [] } satisfies Times,
    ]),
  );
  const errors: string[] = [];
  let answered = 0;
  let failed = 0;
  const of = (kind: Kind): Times => {
    const found = times.get(kind);
    if (!found) throw new Error(`There is no kind ${kind}.`);
    return found;
  };
  return {
    note(reply) {
      const own = of(reply.kind);
      if (reply.status !== 200) {
        failed += 1;
        own.failed += 1;
        if (errors.length < shownErrors) errors.push(describeError(reply));
        return;
      }
      answered += 1;
      own.answered += 1;
      if (reply.askedAt < countFrom) return;
      own.totalMs.push(reply.totalMs);
      if (reply.kind === 'stream') own.firstTokenMs.push(reply.firstTokenMs);
      if (reply.kind === 'query') own.outputTokens.push(outputTokensOf(reply.lastBytes()));
    },
    answered: () => answered,
    errors: () => errors,
    errorCount: () => failed,
    of,
  };
}

function describeError({ kind, status, lastBytes }: Reply): string {
  const what = status === brokenStatus ? 'the connection broke' : `status ${status}`;
  return `${kind}: ${what}: ${lastBytes().toString('utf8', 0, shownCharacters)}`;
}

function outputTokensOf(reply: Buffer): number {
  return Number(/"output_tokens":(\d+)/u.exec(reply.toString('latin1'))?.[1] ?? 0);
}

/** The provider's own times from the replies of those who asked it directly; the median of each. */
export function providerTimesOf(direct: Tally, answerTokens: number): ProviderTimes {
  const median = (values: readonly number[]): number =>
    percentileOf(
      values.toSorted((left, right) => left - right),
      50,
    );
  const stream = median(direct.of('stream').totalMs);
  const streamFirstToken = median(direct.of('stream').firstTokenMs);
  return {
    chat: median(direct.of('chat').totalMs),
    embeddings: median(direct.of('embeddings').totalMs),
    stream,
    streamFirstToken,
    tokenStep: (stream - streamFirstToken) / answerTokens,
  };
}

/**
 * What each reply of a kind took beyond the provider's own time, rising, in milliseconds. A knowledge query asks the
 * provider twice: for the question's vector, and for a streamed answer of so many tokens.
 */
export function beyondMs(tally: Tally, kind: Kind, provider: ProviderTimes): number[] {
  const { totalMs, outputTokens } = tally.of(kind);
  const own = (index: number): number => {
    switch (kind) {
      case 'chat':
        return provider.chat;
      case 'stream':
        return provider.stream;
      case 'embeddings':
        return provider.embeddings;
      case 'query':
        return queryMs(outputTokens[index] ?? 0, provider);
      case 'admin':
        return 0;
    }
  };
  return totalMs.map((ms, index) => ms - own(index)).sort((left, right) => left - right);
}

function queryMs(outputTokens: number, provider: ProviderTimes): number {
  if (outputTokens === 0) return provider.embeddings;
  return provider.embeddings + provider.streamFirstToken + outputTokens * provider.tokenStep;
}
