import { parseArgs } from 'node:util';
import { parseFault } from './faults.ts';
import type { SimulatorOptions } from './options.ts';
import { createSimulator } from './server.ts';

const usage = `Simulated providers on 127.0.0.1, all on one port: OpenAI (chat, responses, embeddings), Anthropic, Gemini, Azure
OpenAI, Bedrock, Ollama and Kapa, each by the paths and headers of the real one.

  npm run simulator -- [options]

  --port 9100            port to listen on; 0 takes a free one (default 9100)
  --seed 7               decides every answer, vector, latency and fault (default 1)
  --api-key KEY          the only key accepted; repeat for more (default: any)
  --model NAME           serve only this model; repeat for more (default: any)
  --latency-ms 20        median time before a reply (default 0)
  --latency-sigma 0.5    spread of that time, log-normal (default 0)
  --first-token-ms 50    time from a stream's headers to its first token (default 0)
  --chunk-delay-ms 10    time between the chunks of a stream (default 0)
  --tokens-per-chunk 1   tokens in a chunk (default 1)
  --answer-tokens 100    length of answers in prose (default: seeded)
  --cached-tokens 0      cached prompt tokens in every usage (default: seeded)
  --requests-per-minute 60  --tokens-per-minute 10000   enforce rate limits per key
  --fault 'rate-limited; probability=0.1; retryAfterS=2'   a standing fault; repeat for more
  --fast                 one prepared chat answer, for benchmarks

While it runs: GET /__sim/journal, GET|POST|DELETE /__sim/faults, GET|POST|DELETE /__sim/schedule,
POST /__sim/pace, POST /__sim/reset. See docs/simulator.md.
`;

const number = { type: 'string' } as const;
const { values } = parseArgs({
  options: {
    help: { type: 'boolean' },
    port: number,
    seed: number,
    'api-key': { type: 'string', multiple: true },
    model: { type: 'string', multiple: true },
    'latency-ms': number,
    'latency-sigma': number,
    'first-token-ms': number,
    'chunk-delay-ms': number,
    'tokens-per-chunk': number,
    'answer-tokens': number,
    'cached-tokens': number,
    'requests-per-minute': number,
    'tokens-per-minute': number,
    fault: { type: 'string', multiple: true },
    fast: { type: 'boolean' },
  },
});

if (values.help) process.stdout.write(usage);
else await run();

async function run(): Promise<void> {
  const simulator = createSimulator(readOptions());
  const { url } = await simulator.start();
  process.stdout.write(`${url}\n`);
  const stop = (): void => {
    void simulator.stop();
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
}

function readOptions(): SimulatorOptions {
  const requests = numberOf('requests-per-minute');
  const tokens = numberOf('tokens-per-minute');
  const optional = {
    apiKey: values['api-key'],
    models: values.model,
    latencyMs: numberOf('latency-ms'),
    latencySigma: numberOf('latency-sigma'),
    firstTokenMs: numberOf('first-token-ms'),
    chunkDelayMs: numberOf('chunk-delay-ms'),
    tokensPerChunk: numberOf('tokens-per-chunk'),
    answerTokens: numberOf('answer-tokens'),
    cachedTokens: numberOf('cached-tokens'),
    faults: values.fault?.map(parseFault),
    fast: values.fast,
    rateLimit:
      requests === undefined && tokens === undefined
        ? undefined
        : { requestsPerMinute: requests ?? 1_000_000, tokensPerMinute: tokens ?? 1_000_000_000 },
  };
  const given = Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined));
  return { seed: numberOf('seed') ?? 1, port: numberOf('port') ?? 9100, ...given };
}

function numberOf(name: keyof typeof values): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0)
    throw new Error(`--${name} takes a number of 0 or more, not '${text}'.`);
  return value;
}
