import { afterEach, describe, expect, it } from 'vitest';
import { type ModelPath, type ProviderOfTest, startModelPath } from '../../test/harness/model-path.ts';
import { createSimulator, type Simulator } from '../../tools/simulator/server.ts';

let path: ModelPath | undefined;
let simulator: Simulator | undefined;
afterEach(async () => {
  await path?.stop();
  await simulator?.stop();
});

const keys = ['sk-test-provider-one', 'sk-test-provider-two', 'sk-test-provider-six'].map((value) => ({
  value,
}));

/** A simulated provider that gives each key that many requests a minute, and enforces it. */
async function start(kind: 'openai' | 'anthropic', perMinute: number, given = keys): Promise<ModelPath> {
  const limited = createSimulator({
    seed: 5,
    rateLimit: { requestsPerMinute: perMinute, tokensPerMinute: 1_000_000 },
  });
  simulator = limited;
  const { url } = await limited.start();
  const provider: ProviderOfTest = { baseUrl: `${url}/v1`, kind, keys: given };
  path = await startModelPath({
    providers: { sim: provider },
    routes: { fast: [[{ provider: 'sim', model: kind === 'openai' ? 'gpt-4o-mini' : 'claude-haiku-4-5' }]] },
  });
  return path;
}

const ask = async ({ url }: ModelPath, stream: boolean): Promise<Response> => {
  const reply = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: 'Bearer gh_test', 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'fast',
      messages: [{ role: 'user', content: 'hi' }],
      max_tokens: 9,
      stream,
    }),
  });
  await reply.clone().text();
  return reply;
};

describe('what a provider tells of its limits', () => {
  it.each([
    ['openai', false],
    ['openai', true],
    ['anthropic', false],
    ['anthropic', true],
  ] as const)(
    'is kept for each key of %s, so that none is asked beyond it (stream: %s)',
    async (kind, stream) => {
      const model = await start(kind, 4);
      const statuses: number[] = [];
      for (let call = 0; call < 12; call++) statuses.push((await ask(model, stream)).status);
      expect(statuses).toEqual(Array(12).fill(200));
      const calls = simulator?.calls() ?? [];
      expect(calls.filter(({ status }) => status === 429)).toEqual([]);
      const suffixes = calls.map(({ keySuffix }) => keySuffix).sort();
      expect(suffixes).toEqual([
        ...Array(4).fill('-one'),
        ...Array(4).fill('-six'),
        ...Array(4).fill('-two'),
      ]);
    },
  );

  it('is the limit between that provider and us, and no news for the caller', async () => {
    const model = await start('openai', 4);
    const reply = await ask(model, false);
    expect([...reply.headers.keys()].filter((name) => name.includes('ratelimit'))).toEqual([]);
  });

  it('keeps calls from going there at all while no key has room', async () => {
    const model = await start('openai', 1, keys.slice(0, 1));
    expect((await ask(model, false)).status).toBe(200);
    const refused = await ask(model, false);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(50);
    expect(await refused.text()).toMatch(/takes no more of this server's calls for now/);
    expect(simulator?.calls()).toHaveLength(1);
  });
});
