import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RetrievalServer, startRetrievalServer } from '../../test/harness/retrieval.ts';
import { createSimulator } from '../../tools/simulator/server.ts';
import { steps } from '../gateway/index.ts';

/** A request for each knowledge route that can reach a model, and the calls it makes: for the question's vector, for the answer. */
const requests: Record<string, { body: object; calls: number }> = {
  'POST /api/v1/search': { body: { query: 'How long is the notice period?' }, calls: 1 },
  'POST /api/v1/query': { body: { query: 'How long is the notice period?' }, calls: 2 },
};

const simulator = createSimulator({ seed: 5, apiKey: 'sk-test-upstream' });
const taken: string[] = [];
let server: RetrievalServer;
let admin: string;

beforeAll(async () => {
  const { url } = await simulator.start();
  server = await startRetrievalServer({ providerUrl: `${url}/v1`, onStep: (step) => taken.push(step) });
  admin = await server.keyIn('steps', 'admin');
  for (const [route, model] of [
    ['default', 'gpt-4o-mini'],
    ['embeddings', 'text-embedding-3-small'],
  ]) {
    const tiers = [{ targets: [{ provider: 'sim', model, weight: 1 }] }];
    expect((await server.request(admin, 'PUT', `/routes/${route}`, { tiers })).status).toBeLessThan(300);
  }
  await server.add(admin, 'Terms', 'The notice period is three months to the end of a quarter.');
  await server.retrieval.idle();
});
afterAll(async () => {
  await server.stop();
  await simulator.stop();
});

describe('every knowledge route that can reach a model', () => {
  it('is known here', () => {
    const reaching = server.http.routes.filter(
      ({ access }) => 'permission' in access && access.permission === 'queries:run',
    );
    expect(reaching.map(({ method, url }) => `${method} ${url}`).sort()).toEqual(
      Object.keys(requests).sort(),
    );
  });

  for (const [route, { body, calls }] of Object.entries(requests)) {
    it(`${route} takes all steps in their order for each of its calls`, async () => {
      const [, path = ''] = route.split(' /api/v1');
      taken.length = 0;
      const served = simulator.totals().calls;
      const reply = await server.request(admin, 'POST', path, body);
      expect(reply.status, reply.text).toBe(200);
      expect(taken).toEqual(Array.from({ length: calls }, () => steps).flat());
      expect(simulator.totals().calls - served).toBe(calls);
    });
  }

  it('vectors of a new document take them too', async () => {
    taken.length = 0;
    await server.add(admin, 'Pumps', 'The red pump weighs forty kilograms.');
    await server.retrieval.idle();
    expect(taken.length).toBeGreaterThan(0);
    expect(taken.length % steps.length).toBe(0);
    expect(new Set(taken)).toEqual(new Set(steps));
  });
});
