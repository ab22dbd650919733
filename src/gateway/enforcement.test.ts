import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { modelPathSuite } from '../../test/harness/model-path-suite.ts';
import { steps } from './call-model.ts';

const { simulator, start, providerUrl } = modelPathSuite();
const source = fileURLToPath(new URL('..', import.meta.url));

/** A request that reaches a model, for each route that can. A route that is not here fails the test below. */
const requests: Record<string, readonly object[]> = {
  'POST /v1/chat/completions': [
    { model: 'fast', messages: [{ role: 'user', content: 'hi' }] },
    { model: 'fast', messages: [{ role: 'user', content: 'hi' }], stream: true },
    { model: 'sim/gpt-4o', messages: [{ role: 'user', content: 'hi' }] },
  ],
  'POST /v1/responses': [
    { model: 'claude/claude-sonnet-4-5', input: 'hi' },
    { model: 'claude/claude-sonnet-4-5', input: 'hi', stream: true },
  ],
  'POST /v1/messages': [
    { model: 'claude/claude-sonnet-4-5', max_tokens: 100, messages: [{ role: 'user', content: 'hi' }] },
    { model: 'fast', max_tokens: 100, messages: [{ role: 'user', content: 'hi' }] },
    { model: 'fast', max_tokens: 100, messages: [{ role: 'user', content: 'hi' }], stream: true },
  ],
  'POST /v1/messages/count_tokens': [
    { model: 'claude/claude-sonnet-4-5', messages: [{ role: 'user', content: 'hi' }] },
  ],
  'POST /v1/embeddings': [{ model: 'sim/text-embedding-3-small', input: 'hi' }],
};

/** Tells a provider what a person thought of an answer: it reaches the provider, and no model. */
const feedback = 'POST /v1/feedback';

describe('every route that can reach a model', () => {
  it('takes all steps in their order, once a call, also after falling back', async () => {
    const path = await start({
      providers: {
        sim: providerUrl(),
        claude: { baseUrl: providerUrl(), kind: 'anthropic' },
        down: 'http://127.0.0.1:9/v1',
      },
      routes: {
        fast: [[{ provider: 'down', model: 'gpt-4o' }], [{ provider: 'sim', model: 'gpt-4o-mini' }]],
      },
    });
    const reaching = path.http.routes.filter(
      ({ access }) => 'permission' in access && access.permission === 'models:call',
    );
    const names = reaching.map((route) => `${route.method} ${route.url}`).filter((name) => name !== feedback);
    expect(names.sort()).toEqual(Object.keys(requests).sort());
    for (const [route, bodies] of Object.entries(requests)) {
      const [method = '', url = ''] = route.split(' ');
      for (const body of bodies) {
        path.steps.length = 0;
        const headers = { 'content-type': 'application/json' };
        const response = await fetch(path.url + url, { method, headers, body: JSON.stringify(body) });
        expect(response.status).toBe(200);
        await response.text();
        expect(path.steps.map(({ step }) => step)).toEqual(steps);
      }
    }
    expect(simulator.totals().calls).toBe((await path.ledger()).length);
  });

  it('is not the only door: what answers questions in process takes the same steps', async () => {
    const path = await start();
    const caller = { principal: path.principal, correlationId: 'correlation-1' };
    const messages = [{ role: 'user' as const, content: 'hi' }];
    const doors = [
      () => path.gateway.models.chat(caller, { model: 'fast', messages }),
      () => path.gateway.models.chat(caller, { model: 'fast', messages }, () => {}),
      () => path.gateway.models.embed(caller, { model: 'sim/text-embedding-3-small', inputs: ['hi'] }),
    ];
    expect(Object.keys(path.gateway.models).sort()).toEqual(['chat', 'embed']);
    for (const enter of doors) {
      path.steps.length = 0;
      await enter();
      expect(path.steps.map(({ step }) => step)).toEqual(steps);
    }
  });

  it('settles what failed, too, and stops at the step that refuses', async () => {
    const path = await start({
      hooks: {
        guardInput: async (call) => {
          if (call.request.bytes.includes('forbidden words')) throw new Error('blocked');
        },
      },
    });
    const ask = async (content: string) => {
      path.steps.length = 0;
      await path.gateway.models
        .chat(
          { principal: path.principal, correlationId: 'c' },
          { model: 'fast', messages: [{ role: 'user', content }] },
        )
        .catch(() => {});
      return path.steps.map(({ step }) => step);
    };
    expect(await ask('forbidden words')).toEqual(['authorise', 'guard_input']);
    simulator.setFault({ kind: 'server-error' });
    expect(await ask('hi')).toEqual([
      'authorise',
      'guard_input',
      'reserve',
      'look_in_cache',
      'choose_targets',
      'call',
      'settle',
    ]);
  });
});

describe('the source', () => {
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter(
    (file) => file.endsWith('.ts') && !file.endsWith('.test.ts'),
  );
  const importing = (pattern: RegExp) =>
    files.filter((file) => pattern.test(readFileSync(join(source, file), 'utf8'))).sort();

  it('sends requests over HTTP to providers from one folder only', () => {
    const senders = importing(/^import (?!type)[^;]*from '(?:undici|(?:node:)?http[s2]?)'|\bfetch\(/m);
    // The command line talks to a server of ours, or looks whether a provider answers at all; news of events goes to
    // people's own addresses; people sign in at issuers, whose keys verify tokens; keys lie in Vault or KMS. None of it asks a model.
    const others = /^(?:cli|notifications|access\/(?:people|tokens)\/issuers|platform\/keyring)\//;
    const elsewhere = senders.filter((file) => !others.test(file) && !file.includes('/fixtures/'));
    expect(elsewhere).toEqual(['gateway/providers/provider-http.ts']);
  });

  it('gives every provider package the one way out that it may use', () => {
    const users = importing(/^import (?!type)[^;]*from '@ai-sdk\//m);
    expect(users.filter((file) => !file.startsWith('gateway/providers/'))).toEqual([]);
    for (const file of importing(/\bcreate(?:OpenAI|OpenAICompatible|Anthropic|Google|AmazonBedrock)\(/)) {
      expect(readFileSync(join(source, file), 'utf8')).toMatch(
        /\bfetch\b[^;]*\}\)|shared = \{[^;]*\bfetch\b/,
      );
    }
  });

  it('lets only the one function reach them', () => {
    expect(importing(/createUpstream\b/)).toEqual(['gateway/gateway.ts', 'gateway/providers/upstream.ts']);
    expect(importing(/createTryTargets\b/)).toEqual(['gateway/gateway.ts', 'gateway/try-targets.ts']);
    expect(importing(/\btryTargets\(/)).toEqual(['gateway/call-model.ts', 'gateway/try-targets.ts']);
    const attempting = importing(/from '\.\/attempt\.ts'/).filter((file) => file.startsWith('gateway/'));
    expect(attempting).toEqual(['gateway/try-targets.ts']);
    expect(importing(/createCallModel\b/)).toEqual(['gateway/call-model.ts', 'gateway/gateway.ts']);
  });
});
