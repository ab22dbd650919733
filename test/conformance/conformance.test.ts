import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nothingServed, type ServedTokens } from '../../tools/simulator/served.ts';
import { createSimulator, type Simulator } from '../../tools/simulator/server.ts';
import { type RunningServer, removeDirectory, startServer, testAdminKey } from '../harness/server.ts';
import type { Application, ClientError, Setting } from './application.ts';
import { chatApplication } from './chat.ts';
import { countingApplication } from './counting.ts';
import { embeddingsApplication } from './embeddings.ts';
import { type Kind, kinds } from './kinds.ts';
import { messagesApplication } from './messages.ts';
import { responsesApplication } from './responses.ts';
import { committedDocument, documentOf, type Row, writeDocument } from './table.ts';

const makers: readonly [endpoint: string, make: (setting: Setting) => Application][] = [
  ['/v1/chat/completions', chatApplication],
  ['/v1/responses', responsesApplication],
  ['/v1/messages', messagesApplication],
  ['/v1/messages/count_tokens', countingApplication],
  ['/v1/embeddings', embeddingsApplication],
];
const providerKey = 'sk-test-upstream';
/** The provider that has reached its limit, one for each test: what is learned of it is kept. */
const limitedName = (kind: Kind, endpoint: string) => `${kind.kind}-limited${endpoint.replaceAll('/', '-')}`;

let simulator: Simulator;
let server: RunningServer;
const rows: Row[] = [];

beforeAll(async () => {
  simulator = createSimulator({ seed: 3, apiKey: providerKey, contextTokens: 16_000 });
  const upstream = await simulator.start();
  server = await startServer();
  for (const kind of kinds) {
    const names = [kind.kind, ...makers.map(([endpoint]) => limitedName(kind, endpoint))];
    for (const name of names) {
      const { status, text } = await server.call('POST', '/api/v1/providers', {
        name,
        kind: kind.kind,
        base_url: upstream.url + kind.basePath,
        api_key: providerKey,
        ...kind.settings,
      });
      if (status !== 201) throw new Error(`${name}: ${status} ${text}`);
    }
  }
});
afterAll(async () => {
  await server.stop();
  await simulator.stop();
  await removeDirectory(server.dataDir);
});

/** The field that a refusal names, in the shape of either dialect. */
function refusedField(error: unknown): string | null {
  const { status, error: body } = error as ClientError;
  if (status !== 422) return null;
  const said = body as { error?: Refusal } & Refusal;
  const { param, message = '' } = said.error ?? said;
  return param ?? /"([^"]+)"/.exec(message.replace(/provider "[^"]+"/, ''))?.[1] ?? null;
}

interface Refusal {
  readonly param?: string | null;
  readonly message?: string;
}

/** What the providers say of it, in their different words. */
const says: Readonly<Record<string, RegExp>> = {
  'long context': /context|too long|token|too many/i,
  'rate limit': /rate.?limit|too many|exhausted|quota|throttl/i,
};

async function outcomeOf(application: Application, column: string, model: string): Promise<string> {
  try {
    await application.does[column]?.(model);
    return 'yes';
  } catch (error) {
    const field = refusedField(error);
    if (field !== null) return `422 \`${field}\``;
    const wanted = column === 'rate limit' ? application.limited : application.badRequest;
    if ((column === 'rate limit' || column === 'long context') && error instanceof wanted) {
      if (!says[column]?.test(error.message)) throw new Error('the error says nothing', { cause: error });
      return String((error as unknown as ClientError).status);
    }
    throw error;
  }
}

function modelOf(kind: Kind, endpoint: string, column: string): string {
  if (endpoint === '/v1/embeddings') return kind.embeddingModel;
  return column.startsWith('thoughts') ? kind.thinkingModel : kind.chatModel;
}

/** An application that calls nobody, for what is known of it beforehand. */
const idle = (make: (setting: Setting) => Application) =>
  make({ url: 'http://127.0.0.1:1', apiKey: 'none', correlationId: 'none', tellsUsage: true });

/** Tokens of calls by class: as the simulator would bill them, and as the ledger has them. */
function billed({ hidesThoughtTokens }: Kind): TokensByClass {
  const served = simulator.calls().map((call) => call.served ?? nothingServed);
  const sum = (of: (tokens: ServedTokens) => number) =>
    served.reduce((total, tokens) => total + of(tokens), 0);
  return {
    input: sum((tokens) => tokens.inputTokens),
    cachedRead: sum((tokens) => tokens.cachedReadTokens),
    cacheWrite5m: sum((tokens) => tokens.cacheWrite5mTokens),
    cacheWrite1h: sum((tokens) => tokens.cacheWrite1hTokens),
    output: sum((tokens) => tokens.outputTokens),
    reasoning: hidesThoughtTokens ? 0 : sum((tokens) => tokens.reasoningTokens),
  };
}

type TokensByClass = Readonly<
  Record<'input' | 'cachedRead' | 'cacheWrite5m' | 'cacheWrite1h' | 'output' | 'reasoning', number>
>;

async function recorded(correlationId: string): Promise<{ tokens: TokensByClass; estimated: boolean }> {
  // Whoever asks for a summary waits until all calls that have ended are in the ledger.
  await server.call('GET', '/api/v1/costs/summary');
  const { json } = await server.call(
    'GET',
    `/api/v1/costs/ledger?attempts=all&correlation_id=${correlationId}`,
  );
  const rows = json.calls as Record<string, number | boolean>[];
  const sum = (column: string) => rows.reduce((total, row) => total + Number(row[column]), 0);
  return {
    tokens: {
      input: sum('input_tokens'),
      cachedRead: sum('cached_read_tokens'),
      cacheWrite5m: sum('cache_write_5m_tokens'),
      cacheWrite1h: sum('cache_write_1h_tokens'),
      output: sum('output_tokens'),
      reasoning: sum('reasoning_tokens'),
    },
    estimated: rows.some((row) => row.estimated === true),
  };
}

describe.each(makers)('an application that calls %s', (endpoint, make) => {
  describe.each(kinds.map((kind) => [kind.kind, kind] as const))('answered by %s', (_, kind) => {
    const row: Row = {
      endpoint,
      client: idle(make).client,
      kind: kind.kind,
      wire: null,
      cells: new Map(),
    };
    rows.push(row);

    it.each(Object.keys(idle(make).does))('%s', async (column) => {
      simulator.reset();
      if (column === 'rate limit') simulator.setFault({ kind: 'rate-limited', retryAfterS: 3_600 });
      const provider = column === 'rate limit' ? limitedName(kind, endpoint) : kind.kind;
      const model = modelOf(kind, endpoint, column);
      const correlationId = `conformance${endpoint}-${kind.kind}-${column}`.replaceAll(/[^a-z0-9-]/gi, '-');
      const tellsUsage = kind.tellsUsage ?? true;
      const application = make({ url: server.url, apiKey: testAdminKey, correlationId, tellsUsage });
      const outcome = await outcomeOf(application, column, `${provider}/${model}`);
      row.cells.set(column, outcome);
      const calls = simulator.calls();
      row.wire ??= calls.at(-1)?.wire ?? null;

      const cannot = kind.cannot?.some((what) => what === column || what === endpoint) ?? false;
      if (cannot) {
        expect(outcome).toMatch(/^422 `[\w.]+`$/);
        expect(calls).toEqual([]);
        return;
      }
      if (column === 'rate limit') expect(outcome).toBe('429');
      else if (column === 'long context') expect(outcome).toBe('400');
      else expect(outcome).toBe('yes');
      // The provider saw what it was to see.
      const last = calls.at(-1);
      if (column.includes('tools')) expect(last?.toolResults).toHaveLength(1);
      if (column === 'image') expect(last?.images).toBe(1);
      const ledger = await recorded(correlationId);
      if (tellsUsage) expect(ledger).toEqual({ tokens: billed(kind), estimated: false });
      else expect(ledger.estimated).toBe(outcome === 'yes' && calls.length > 0);
    });
  });
});

describe('the table in the documentation', () => {
  it('says what happened', () => {
    const made = documentOf(rows);
    if (process.env.CONFORMANCE_WRITE === '1') writeDocument(made);
    expect(committedDocument()).toBe(made);
  });
});
