import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { createSimulator, type Simulator } from '../../tools/simulator/server.ts';
import { type ModelPath, type ModelPathOptions, type SpooledRow, startModelPath } from './model-path.ts';
import { type RawUpstream, startRawUpstream } from './raw-upstream.ts';

export const hello = { model: 'fast', messages: [{ role: 'user' as const, content: 'Hello there' }] };
/** The route `fast` to the simulator. */
export const fast = { fast: [[{ provider: 'sim', model: 'gpt-4o-mini' }]] };

/** A simulator for the whole file, and model paths and providers that end with each test. */
export function modelPathSuite() {
  const simulator: Simulator = createSimulator({ seed: 7, keepBodies: true, apiKey: 'sk-test-upstream' });
  const open: { stop(): Promise<void> }[] = [];
  let providerUrl = '';

  beforeAll(async () => {
    providerUrl = `${(await simulator.start()).url}/v1`;
  });
  afterAll(() => simulator.stop());
  afterEach(async () => {
    for (const part of open.splice(0).reverse()) await part.stop();
    simulator.reset();
  });

  return {
    simulator,
    providerUrl: () => providerUrl,
    async start(options: ModelPathOptions = {}): Promise<ModelPath> {
      const path = await startModelPath({ providers: { sim: providerUrl }, routes: fast, ...options });
      open.push(path);
      return path;
    },
    async upstream(...given: Parameters<typeof startRawUpstream>): Promise<RawUpstream> {
      const raw = await startRawUpstream(...given);
      open.push(raw);
      return raw;
    },
    lastCall: () => simulator.calls().at(-1),
  };
}

export function post(
  path: ModelPath,
  body: unknown,
  headers: Record<string, string> = {},
  signal?: AbortSignal,
): Promise<Response> {
  return fetch(`${path.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...(signal ? { signal } : {}),
  });
}

export async function onlyRow(path: ModelPath): Promise<SpooledRow | undefined> {
  const rows = await path.ledger();
  expect(rows).toHaveLength(1);
  return rows[0];
}

export async function gathered<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const part of stream) all.push(part);
  return all;
}
