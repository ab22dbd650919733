import { type LoadOptions, type LoadResult, numberMark, runLoad } from './load.ts';
import type { BenchProcess } from './processes.ts';

/** What is loaded: a proxy, or the provider itself (`direct`). */
export interface Subject {
  readonly name: 'direct' | 'bare' | 'portkey' | 'gatehouse';
  /** Origin, such as `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly process: BenchProcess;
  readonly headers: Readonly<Record<string, string>>;
  readonly model: string;
  /** CPU time of the subject's own database so far, milliseconds. */
  readonly databaseCpuMs: () => number;
  /** Replies it gave in all loads so far, the ones that do not count included. */
  readonly tally: { replies: number };
}

/** One load of one subject. */
export interface Round extends LoadResult {
  /** CPU time of the loaded process for one reply, microseconds. */
  readonly cpuUsPerReply: number;
  readonly databaseCpuUsPerReply: number;
  /** Share of one core that the loaded process used, 0 to 1. */
  readonly busy: number;
}

export type Measured = ReadonlyMap<Subject['name'], readonly Round[]>;

export interface Comparison {
  readonly load: Pick<LoadOptions, 'connections' | 'seconds' | 'rate' | 'rampSeconds'>;
  readonly stream: boolean;
  readonly rounds: number;
  /** Counts on through the whole run, so that every request is one of a kind. */
  readonly numbering: LoadOptions['numbering'];
}

/**
 * Loads every subject in turn, `rounds` times, after one short load each that does not count. Every other round goes
 * the other way round, so that no subject always follows the same one.
 */
export async function compare(subjects: readonly Subject[], comparison: Comparison): Promise<Measured> {
  const { rounds } = comparison;
  const measured = new Map<Subject['name'], Round[]>(subjects.map(({ name }) => [name, []]));
  const short = { ...comparison.load, seconds: Math.min(3, comparison.load.seconds) };
  for (const subject of subjects) await loadOnce(subject, { ...comparison, load: short });
  for (let round = 0; round < rounds; round += 1) {
    const order = round % 2 === 0 ? subjects : subjects.toReversed();
    for (const subject of order) measured.get(subject.name)?.push(await loadOnce(subject, comparison));
  }
  return measured;
}

async function loadOnce(subject: Subject, { load, stream, numbering }: Comparison): Promise<Round> {
  const before = {
    cpuMs: subject.process.cpuMs(),
    databaseCpuMs: subject.databaseCpuMs(),
    at: performance.now(),
  };
  const result = await runLoad({
    ...load,
    numbering,
    url: subject.url,
    path: '/v1/chat/completions',
    headers: subject.headers,
    body: requestBody(subject.model, stream),
  });
  subject.tally.replies += result.allReplies;
  const cpuMs = subject.process.cpuMs() - before.cpuMs;
  const databaseCpuMs = subject.databaseCpuMs() - before.databaseCpuMs;
  return {
    ...result,
    cpuUsPerReply: (cpuMs * 1_000) / result.allReplies,
    databaseCpuUsPerReply: (databaseCpuMs * 1_000) / result.allReplies,
    busy: cpuMs / (performance.now() - before.at),
  };
}

/** A short chat request, about 290 bytes: what is measured is the proxy, not the copying of text. */
function requestBody(model: string, stream: boolean): string {
  const messages = [
    { role: 'system', content: 'You are a helpful assistant who answers briefly and in plain words.' },
    {
      role: 'user',
      content: `What should I look at first when a service answers slowly in the morning? (${numberMark})`,
    },
  ];
  return JSON.stringify({ model, messages, temperature: 0.2, ...(stream && { stream }) });
}
