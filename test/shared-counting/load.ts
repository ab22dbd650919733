let ids = 0;
/** Told apart within this process; a correlation id needs eight characters. */
export const newId = (): string => `call-${String(++ids).padStart(8, '0')}`;

export interface Asking {
  readonly url: string;
  readonly key: string;
  readonly correlation?: string;
}

/** How a request ended for who made it. */
export interface Answer {
  /** 0: there was no whole answer. */
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
  readonly correlation: string;
  /** By this machine's clock, milliseconds since 1970: that is what windows begin by. */
  readonly sentAt: number;
  readonly endedAt: number;
  readonly tookMs: number;
  /** Nothing came for so long that it was given up. */
  readonly hung: boolean;
}

/** Longer than anything here may take: a call that waits for a budget takes 5 s, and streams are read elsewhere. */
const givenUpMs = 30_000;

/** A model call with a body, else a look at the models. Never throws: a broken connection is an answer, too. */
export async function ask(asking: Asking, body?: object): Promise<Answer> {
  const correlation = asking.correlation ?? newId();
  const sentAt = Date.now();
  const began = performance.now();
  const ended = (more: Pick<Answer, 'status' | 'text' | 'headers' | 'hung'>): Answer => ({
    correlation,
    sentAt,
    endedAt: Date.now(),
    tookMs: performance.now() - began,
    ...more,
  });
  try {
    const reply = await fetch(`${asking.url}/v1/${body === undefined ? 'models' : 'chat/completions'}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        authorization: `Bearer ${asking.key}`,
        'content-type': 'application/json',
        'x-correlation-id': correlation,
      },
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(givenUpMs),
    });
    const { status, headers } = reply;
    return ended({ status, headers, text: await reply.text(), hung: false });
  } catch (error) {
    const hung = (error as Error).name === 'TimeoutError';
    return ended({ status: 0, text: String(error), headers: new Headers(), hung });
  }
}

/** So many at once, each doing its turns one after the other. */
export async function crowd<T>(
  callers: number,
  turns: number,
  turn: (caller: number, turn: number) => Promise<T>,
): Promise<T[]> {
  const done: T[] = [];
  const caller = async (n: number) => {
    for (let at = 0; at < turns; at++) done.push(await turn(n, at));
  };
  await Promise.all(Array.from({ length: callers }, (_, n) => caller(n)));
  return done;
}

/**
 * Begins one every so often, whatever becomes of those before, until told to stop: callers who do not wait for each other.
 * @returns stops it; resolves with all, when all have ended.
 */
export function steadily<T>(everyMs: number, one: (n: number) => Promise<T>): () => Promise<T[]> {
  const begun: Promise<T>[] = [];
  const startedAt = performance.now();
  // A timer that came late catches up, so that the load is as high as it is said to be.
  const timer = setInterval(
    () => {
      const due = (performance.now() - startedAt) / everyMs;
      while (begun.length < due) begun.push(one(begun.length));
    },
    Math.min(everyMs, 20),
  );
  return () => {
    clearInterval(timer);
    return Promise.all(begun);
  };
}

/** @returns how often each status was answered. */
export function statuses(answers: readonly Answer[]): Record<string, number> {
  const counted: Record<string, number> = {};
  for (const { status } of answers) counted[status] = (counted[status] ?? 0) + 1;
  return counted;
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Waits until the window of that length, which begins at multiples of it, has so much left. */
export async function windowWithRoom(windowMs: number, leftMs: number): Promise<void> {
  const left = windowMs - (Date.now() % windowMs);
  if (left < leftMs) await new Promise((resolve) => setTimeout(resolve, left + 50));
}
