import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import type { JournalCall } from '../../tools/simulator/journal.ts';
import { createSimulator, type Simulator } from '../../tools/simulator/server.ts';
import { type RunningServer, removeDirectory, startServer, testAdminKey } from '../harness/server.ts';
import type { Dialect } from './dialects.ts';
import { ModelStream } from './model-stream.ts';

/** Kinds of providers, with a model of each that has a price, and where below the simulator's address each is. */
export const kinds = {
  openai: { model: 'gpt-4o-mini', path: '/v1' },
  anthropic: { model: 'claude-sonnet-4-5', path: '/v1' },
  gemini: { model: 'gemini-2.5-flash', path: '/v1beta' },
} as const;
export type Kind = keyof typeof kinds;
export const kindNames = Object.keys(kinds) as readonly Kind[];

export interface LedgerRow {
  readonly correlation_id: string;
  readonly final: boolean;
  readonly status: string;
  readonly error_code: string | null;
  readonly estimated: boolean;
  readonly streamed: boolean;
  readonly input_tokens: number;
  readonly output_tokens: number;
}

/** A Gatehouse, and simulated providers that differ in their pace and the length of their answers. */
export interface House {
  server(): RunningServer;
  /** The same data and address of nothing: what was written is read by another process. */
  startAgain(): Promise<void>;
  /**
   * A provider of its own for one purpose, so that what happens to one is nothing to another.
   * @returns what callers put in `model`.
   */
  provider(name: string, kind: Kind, simulator: Simulator, settings?: object): Promise<string>;
  simulator(options: { chunkDelayMs?: number; answerTokens?: number }): Promise<Simulator>;
  /** Address of a simulator, without a path. */
  urlOf(simulator: Simulator): string;
  open(dialect: Dialect, model: string, correlationId: string, maxTokens?: number): ModelStream;
  /** What the simulator noted of a call, once it has it. */
  journalOf(simulator: Simulator, correlationId: string): JournalCall | undefined;
  /** Every row of the ledger, the final ones by correlation id. */
  ledger(): Promise<Map<string, LedgerRow[]>>;
  /** Resident memory of the server, MiB. */
  memoryMb(): number;
  stop(): Promise<void>;
}

export async function openHouse(env: Record<string, string>): Promise<House> {
  const simulators = new Map<Simulator, string>();
  let server = await startServer({ env });
  const providerKey = (name: string) => `sk-test-${name}`;

  return {
    server: () => server,
    async startAgain() {
      server = await startServer({ env, dataDir: server.dataDir });
    },
    async provider(name, kind, simulator, settings = {}) {
      const made = await server.call('POST', '/api/v1/providers', {
        name,
        kind,
        base_url: `${simulators.get(simulator)}${kinds[kind].path}`,
        api_key: providerKey(name),
        ...settings,
      });
      expect(made.status, made.text).toBe(201);
      return `${name}/${kinds[kind].model}`;
    },
    async simulator(options) {
      const simulator = createSimulator({ seed: 5, keepBodies: true, ...options });
      simulators.set(simulator, (await simulator.start()).url);
      return simulator;
    },
    urlOf: (simulator) => simulators.get(simulator) ?? '',
    open: (dialect, model, correlationId, maxTokens = 4_000) =>
      new ModelStream({
        url: server.url,
        key: testAdminKey,
        dialect,
        model,
        content: `This is ${correlationId}.`,
        maxTokens,
        keepsText: true,
        correlationId,
      }),
    journalOf: (simulator, correlationId) =>
      simulator.calls().findLast((call) => call.headers['x-correlation-id'] === correlationId),
    async ledger() {
      const rows = new Map<string, LedgerRow[]>();
      for (let cursor: string | null = ''; cursor !== null; ) {
        const query = `limit=200${cursor && `&cursor=${cursor}`}`;
        const { json } = await server.call('GET', `/api/v1/costs/ledger?${query}`);
        for (const row of json.calls as LedgerRow[]) {
          rows.set(row.correlation_id, [...(rows.get(row.correlation_id) ?? []), row]);
        }
        cursor = json.next_cursor;
      }
      return rows;
    },
    memoryMb() {
      const status = readFileSync(`/proc/${server.process.pid}/status`, 'utf8');
      return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1_024;
    },
    async stop() {
      await server.stop();
      for (const simulator of simulators.keys()) await simulator.stop();
      await removeDirectory(server.dataDir);
    },
  };
}

/**
 * The whole text that the provider gives to the very request that it got, asked for directly and at once: what a
 * client must have got of it, whatever dialect it speaks and however slowly it read.
 */
export async function textAtOnce(simulatorUrl: string, call: JournalCall | undefined): Promise<string> {
  if (!call) throw new Error('the provider got no such call');
  const body = JSON.parse(call.requestBody ?? '{}');
  const path = call.path.replace(':streamGenerateContent', ':generateContent');
  for (const member of ['stream', 'stream_options']) delete body[member];
  const response = await fetch(simulatorUrl + path, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'anthropic-version': '2023-06-01',
      'x-goog-api-key': 'sk-test-directly',
      'x-api-key': 'sk-test-directly',
      authorization: 'Bearer sk-test-directly',
    },
    body: JSON.stringify(body),
  });
  const reply = (await response.json()) as any;
  const parts: { text?: string }[] =
    reply.candidates?.[0].content.parts ??
    reply.output?.flatMap((item: any) => item.content ?? []) ??
    (Array.isArray(reply.content) ? reply.content : undefined) ??
    reply.choices?.map((choice: any) => ({ text: choice.message.content }));
  return parts.map(({ text }) => text ?? '').join('');
}
