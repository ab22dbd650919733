import { type Comparison, compare, type Measured, type Subject } from './compare.ts';
import { addedMs, describe, describeAdded, describeRatios, ratiosOf } from './report.ts';
import { medianOf } from './statistics.ts';

export interface GatewaySettings {
  readonly rounds: number;
  readonly seconds: number;
  readonly connections: number;
  /** Streams open at once. */
  readonly streams: number;
  /** Chunks of a stream. */
  readonly answerTokens: number;
}

const chunkDelayMs = 100;
/** The rounds with many streams take 10 s each, so there are fewer of them. */
const mostStreamRounds = 3;

/**
 * Takes every proxy through the loads in turn and prints what came of them: whole replies and streams as fast as can be,
 * whole replies at half of what Gatehouse (and, beside it, Portkey) can do, and many streams at the pace of a real model.
 * @param direct the provider itself.
 * @returns the same figures, for a file.
 */
export async function measureGateways(
  direct: Subject,
  proxies: readonly Subject[],
  settings: GatewaySettings,
): Promise<object> {
  const { rounds, connections, answerTokens } = settings;
  const numbering = { next: 1 };
  const tell = (title: string, subjects: readonly Subject[], comparison: Omit<Comparison, 'numbering'>) =>
    compareAloud(title, subjects, { ...comparison, numbering });
  const load = { connections, seconds: settings.seconds };

  const plainTitle = `Whole replies, ${connections} connections`;
  const plain = await tell(plainTitle, proxies, { load, stream: false, rounds });
  process.stdout.write(describeRatios(plain));

  const streamTitle = `Streams of ${answerTokens} chunks, ${connections} connections`;
  const streamed = await tell(streamTitle, proxies, { load, stream: true, rounds });
  process.stdout.write(describeRatios(streamed));

  const halves: Partial<Record<Subject['name'], object>> = {};
  for (const { name, beside } of halfLoads(proxies)) {
    const rate = Math.floor(medianOf((plain.get(name) ?? []).map((round) => round.repliesPerSecond)) / 2);
    const title = `Whole replies at ${rate} a second, half of what ${name} did above`;
    const half = await tell(title, [direct, ...beside], { load: { ...load, rate }, stream: false, rounds });
    process.stdout.write(describeAdded('time', addedMs(half, 'latencyMs')));
    halves[name] = { rate, addedMs: addedMs(half, 'latencyMs'), measured: Object.fromEntries(half) };
  }

  const open = await manyStreams(direct, proxies, settings, tell);
  process.stdout.write(describeAdded('time to the first token', addedMs(open, 'firstTokenMs')));
  return {
    ...settings,
    plain: { ratios: ratiosOf(plain), measured: Object.fromEntries(plain) },
    streamed: { ratios: ratiosOf(streamed), measured: Object.fromEntries(streamed) },
    halves,
    open: { addedMs: addedMs(open, 'firstTokenMs'), measured: Object.fromEntries(open) },
  };
}

/** Each gateway at half of its own throughput; Portkey's half is far below Gatehouse's, and both are measured there. */
function halfLoads(proxies: readonly Subject[]) {
  const named = (names: readonly Subject['name'][]) => proxies.filter(({ name }) => names.includes(name));
  const gatehouse = { name: 'gatehouse' as const, beside: named(['bare', 'gatehouse']) };
  const portkey = { name: 'portkey' as const, beside: named(['portkey', 'gatehouse']) };
  return [gatehouse, portkey].filter(({ name }) => named([name]).length > 0);
}

/** Many streams at the pace of a real model, begun one after another over the length of one stream. */
async function manyStreams(
  direct: Subject,
  proxies: readonly Subject[],
  { streams, answerTokens, rounds }: GatewaySettings,
  tell: (
    title: string,
    subjects: readonly Subject[],
    comparison: Omit<Comparison, 'numbering'>,
  ) => Promise<Measured>,
): Promise<Measured> {
  const streamSeconds = (answerTokens * chunkDelayMs) / 1_000;
  const load = { connections: streams, rampSeconds: streamSeconds, seconds: 2 * streamSeconds };
  await setPace(direct.url, { chunkDelayMs });
  const title = `${streams} streams open at once, a chunk every ${chunkDelayMs} ms`;
  const measured = await tell(title, [direct, ...proxies], {
    load,
    stream: true,
    rounds: Math.min(mostStreamRounds, rounds),
  });
  await setPace(direct.url, { chunkDelayMs: 0 });
  return measured;
}

async function compareAloud(
  title: string,
  subjects: readonly Subject[],
  comparison: Comparison,
): Promise<Measured> {
  process.stdout.write(`\n${title}\n`);
  const measured = await compare(subjects, comparison);
  process.stdout.write(describe(measured));
  return measured;
}

async function setPace(url: string, pace: object): Promise<void> {
  const response = await fetch(`${url}/__sim/pace`, { method: 'POST', body: JSON.stringify(pace) });
  if (!response.ok) throw new Error(`The simulator refused a pace: ${await response.text()}`);
}
