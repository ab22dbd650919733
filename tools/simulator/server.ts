import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { anthropic } from './anthropic/provider.ts';
import { createAzure } from './azure/provider.ts';
import { bedrock } from './bedrock/provider.ts';
import { serveControl } from './control.ts';
import { createFastChat } from './fast.ts';
import { createFaults, type FaultInput, type FaultSchedule } from './faults.ts';
import { gemini } from './gemini/provider.ts';
import { createJournal, type JournalCall, type JournalTotals } from './journal.ts';
import { createKapa } from './kapa/provider.ts';
import { ollama } from './ollama/provider.ts';
import { openAiFace } from './openai/face.ts';
import { createOpenAi } from './openai/provider.ts';
import { type Pace, type SimulatorOptions, withDefaults } from './options.ts';
import { createPromptCache } from './prompt-cache.ts';
import { createRateLimits } from './rate-limits.ts';
import { createService } from './service.ts';

export interface Simulator {
  /** Listens. `url` has no path: an OpenAI client's base URL is `${url}/v1`. */
  start(): Promise<{ readonly url: string; readonly port: number }>;
  /** Drops every connection and stops listening. May be started again, on the same port. */
  stop(): Promise<void>;
  /** Copies of the journal's calls, oldest first. */
  calls(): JournalCall[];
  totals(): JournalTotals;
  /** The first call that fits, now or later; rejects after `timeoutMs` (default 4,000). */
  waitForCall(fits: (call: JournalCall) => boolean, timeoutMs?: number): Promise<JournalCall>;
  /** Replaces the standing faults; null clears them. */
  setFault(fault: FaultInput | readonly FaultInput[] | null): void;
  /** Replaces the fault schedules; null clears them. Their calls are counted from the first again. */
  setSchedule(schedule: FaultSchedule | readonly FaultSchedule[] | null): void;
  setPace(pace: Partial<Pace>): Pace;
  /** Empties the journal and the prompt cache; gives back faults, pace and rate limits as they were at the start. */
  reset(): void;
}

/** Sockets open at once, far above what the benchmarks use. */
const maxConnections = 20_000;

/** Builds a simulated provider; nothing listens before `start`. */
export function createSimulator(given: SimulatorOptions): Simulator {
  const options = withDefaults(given);
  const journal = createJournal({ now: options.now, limit: options.journalLimit });
  const faults = createFaults({ seed: options.seed, now: options.now });
  const rateLimit = options.rateLimit ?? { requestsPerMinute: 10_000, tokensPerMinute: 10_000_000 };
  const rateLimits = createRateLimits(
    { ...rateLimit, enforced: options.rateLimit !== undefined },
    options.now,
  );
  let pace: Pace = options;

  const promptCache = createPromptCache(options.now);
  const answer = createService({
    ...{ options, journal, faults, rateLimits, promptCache },
    pace: () => pace,
    providers: [anthropic, gemini, bedrock, createAzure(), ollama, createKapa(), createOpenAi()],
    defaultFace: openAiFace,
    stopping: () => server === undefined,
  });
  const fastChat = createFastChat({
    seed: options.seed,
    answerTokens: options.answerTokens ?? 32,
    tokensPerChunk: options.tokensPerChunk,
    createdS: Math.floor(options.now() / 1000),
    pace: () => pace,
    count: journal.count,
  });

  function setPace(changes: Partial<Pace>): Pace {
    const { latencyMs, latencySigma, firstTokenMs, chunkDelayMs } = { ...pace, ...changes };
    pace = { latencyMs, latencySigma, firstTokenMs, chunkDelayMs };
    return pace;
  }

  function reset(): void {
    journal.clear();
    faults.set(options.faults);
    faults.schedule(null);
    rateLimits.reset();
    promptCache.clear();
    setPace(options);
  }

  function serve(request: IncomingMessage, response: ServerResponse): void {
    const url = request.url ?? '/';
    if (url.startsWith('/__sim/')) void serveControl(request, response, { journal, faults, setPace, reset });
    else if (options.fast && url === '/v1/chat/completions' && request.method === 'POST')
      fastChat(request, response);
    else void answer(request, response);
  }

  let server: Server | undefined;
  let port = options.port;
  reset();

  return {
    async start() {
      if (server) throw new Error('The simulator runs already.');
      server = await listen(
        createServer({ keepAliveTimeout: 120_000, requestTimeout: 0 }, serve),
        options.host,
        port,
      );
      port = (server.address() as AddressInfo).port;
      return { url: `http://${options.host}:${port}`, port };
    },
    async stop() {
      const stopping = server;
      server = undefined;
      if (!stopping) return;
      await new Promise<void>((resolve) => {
        stopping.close(() => resolve());
        stopping.closeAllConnections();
      });
    },
    calls: journal.calls,
    totals: journal.totals,
    waitForCall: journal.waitFor,
    setFault: faults.set,
    setSchedule: faults.schedule,
    setPace,
    reset,
  };
}

function listen(server: Server, host: string, port: number): Promise<Server> {
  server.maxConnections = maxConnections;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, 4_096, () => {
      server.off('error', reject);
      resolve(server);
    });
  });
}
