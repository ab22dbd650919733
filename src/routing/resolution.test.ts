import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPriceCatalogue } from '../costs/index.ts';
import { answerModelOf, defaultChatModels, embeddingModelOf } from './answer-model.ts';
import type { Provider, ProviderKind, Route } from './resolution.ts';
import { createRoutingSnapshot } from './routing-snapshot.ts';

const acme = 'tenant-acme';
const provider = (name: string, tenantId: string | null = null, more: Partial<Provider> = {}): Provider => ({
  id: `${tenantId}-${name}`,
  tenantId,
  name,
  kind: 'openai',
  baseUrl: 'http://10.0.0.1/v1',
  keys: [],
  keyProblem: null,
  settings: {},
  localAddressesAllowed: true,
  source: 'stored',
  createdAt: new Date(0),
  ...more,
});
const route = (name: string, target: string, tenantId: string | null = null, minute = 0): Route => {
  const [to = '', model = ''] = target.split('/');
  const at = new Date(Date.UTC(2026, 0, 1, 0, minute));
  const tiers = [{ targets: [{ provider: to, model, weight: 1 }] }];
  return {
    id: `${tenantId}-${name}`,
    tenantId,
    name,
    strategy: 'weighted',
    cache: { mode: 'off' },
    tiers,
    createdAt: at,
    updatedAt: at,
  };
};
const resolved = (snapshot: ReturnType<typeof createRoutingSnapshot>, tenantId: string, model: string) => {
  const found = snapshot.resolve(tenantId, model);
  const target = found?.tiers[0]?.[0];
  return found && `${found.route} ${target?.provider.id} ${target?.model}`;
};

describe('a model name', () => {
  const snapshot = createRoutingSnapshot(
    [provider('openai'), provider('openai', acme), provider('vllm')],
    [
      route('fast', 'openai/gpt-4o-mini'),
      route('fast', 'vllm/llama', acme),
      route('a/b', 'vllm/slashed'),
      route('gone', 'was/x'),
    ],
  );

  it('is the tenant’s route, else the platform’s', () => {
    expect(resolved(snapshot, acme, 'fast')).toBe('fast null-vllm llama');
    expect(resolved(snapshot, 'other', 'fast')).toBe('fast null-openai gpt-4o-mini');
  });

  it('has another version as soon as another server answers to a name, for whoever keeps answers by it', () => {
    const routes = [route('fast', 'openai/gpt-4o-mini')];
    const versions = [
      [provider('openai')],
      [provider('openai', null, { baseUrl: 'http://10.0.0.2/v1' })],
      [provider('openai', null, { kind: 'openai-compatible' })],
      [provider('openai', null, { settings: { projectId: 'other' } })],
      [provider('openai'), provider('openai', acme)],
    ].flatMap((providers) => {
      const moment = createRoutingSnapshot(providers, routes);
      return ['fast', 'openai/gpt-4o-mini'].map((model) => moment.resolve(acme, model)?.version);
    });
    expect(new Set(versions).size).toBe(versions.length);
    const again = createRoutingSnapshot([provider('openai')], routes);
    expect(again.resolve(acme, 'fast')?.version).toBe(versions[0]);
    expect(again.resolve('other', 'fast')?.version).toBe(versions[0]);
  });

  it('is a provider and its model, the tenant’s own provider winning by name', () => {
    expect(resolved(snapshot, acme, 'openai/gpt-4o')).toBe('null tenant-acme-openai gpt-4o');
    expect(resolved(snapshot, 'other', 'openai/gpt-4o')).toBe('null null-openai gpt-4o');
    expect(resolved(snapshot, acme, 'vllm/meta/llama')).toBe('null null-vllm meta/llama');
    expect(resolved(snapshot, acme, 'a/b')).toBe('a/b null-vllm slashed');
    for (const nothing of ['openai/', '/gpt-4o', 'nobody/gpt-4o', 'gpt-4o', '']) {
      expect(resolved(snapshot, acme, nothing)).toBeUndefined();
    }
  });

  it('is the only provider’s model when there is but one', () => {
    const single = createRoutingSnapshot([provider('openai'), provider('vllm', acme)], []);
    expect(resolved(single, 'other', 'gpt-4o')).toBe('null null-openai gpt-4o');
    expect(resolved(single, 'other', 'meta/llama')).toBe('null null-openai meta/llama');
    expect(resolved(single, acme, 'gpt-4o')).toBeUndefined();
  });

  it('is not a model of a provider that is only used by name', () => {
    const ambient = provider('bedrock', null, { kind: 'bedrock', source: 'environment' });
    const kapa = provider('kapa', null, { kind: 'kapa', source: 'environment' });
    const beside = createRoutingSnapshot([provider('openai'), ambient, kapa], []);
    expect(resolved(beside, acme, 'gpt-4o')).toBe('null null-openai gpt-4o');
    expect(resolved(beside, acme, 'bedrock/nova')).toBe('null null-bedrock nova');
    expect(resolved(createRoutingSnapshot([ambient], []), acme, 'gpt-4o')).toBeUndefined();
  });

  it('is nothing when there are routes and none of that name, even with one provider', () => {
    const one = createRoutingSnapshot([provider('openai')], [route('fast', 'openai/gpt-4o-mini')]);
    expect(resolved(one, acme, 'fats')).toBeUndefined();
    expect(resolved(one, acme, 'openai/gpt-4o')).toBe('null null-openai gpt-4o');
  });

  it('leads nowhere when the route’s providers are gone', () => {
    expect(snapshot.resolve(acme, 'gone')?.tiers).toEqual([]);
  });

  it('never leads to what belongs to another tenant', () => {
    const names = fc.constantFrom('x', 'y', 'z');
    const owner = fc.constantFrom(null, 'a', 'b');
    const providers = fc.uniqueArray(fc.tuple(names, owner), { selector: String });
    const routes = fc.uniqueArray(fc.tuple(names, owner, names), {
      selector: ([name, of]) => `${name} ${of}`,
    });
    fc.assert(
      fc.property(providers, routes, (given, led) => {
        const all = createRoutingSnapshot(
          given.map(([name, of]) => provider(name, of)),
          led.map(([name, of, to]) => route(name, `${to}/m`, of)),
        );
        for (const tenantId of ['a', 'b']) {
          for (const model of ['x', 'y', 'z', 'x/m', 'y/m', 'z/m', 'm']) {
            for (const tier of all.resolve(tenantId, model)?.tiers ?? []) {
              for (const target of tier) expect([null, tenantId]).toContain(target.provider.tenantId);
            }
          }
        }
      }),
    );
  });
});

describe('the model for answers', () => {
  const fromEnvironment = (name: string, kind: ProviderKind = 'openai') =>
    provider(name, null, { source: 'environment', kind });

  it('is the route named default', () => {
    const snapshot = createRoutingSnapshot(
      [provider('p')],
      [route('old', 'p/m', acme), route('default', 'p/m', null, 9)],
    );
    expect(answerModelOf(snapshot, acme)).toBe('default');
  });

  it('is the oldest route to a chat model, the tenant’s before the platform’s', () => {
    const routes = [
      route('platform', 'p/m', null, 1),
      route('embeddings', 'p/m', acme, 1),
      route('vectors', 'p/text-embedding-3-small', acme, 2),
      route('second', 'p/m', acme, 4),
      route('first', 'p/m', acme, 3),
    ];
    const snapshot = createRoutingSnapshot([provider('p')], routes);
    expect(answerModelOf(snapshot, acme)).toBe('first');
    expect(answerModelOf(snapshot, 'other')).toBe('platform');
    expect(embeddingModelOf(snapshot, acme)).toBe('embeddings');
    expect(embeddingModelOf(snapshot, 'other')).toBeNull();
  });

  it('is the small chat model of the only provider from the environment, while there is no route', () => {
    const one = createRoutingSnapshot([fromEnvironment('openai'), provider('own', acme)], []);
    expect(answerModelOf(one, acme)).toBe('openai/gpt-4o-mini');
    expect(answerModelOf(createRoutingSnapshot([fromEnvironment('ollama')], []), acme)).toBeNull();
    const two = createRoutingSnapshot([fromEnvironment('openai'), fromEnvironment('groq')], []);
    expect(answerModelOf(two, acme)).toBeNull();
    const beside = fromEnvironment('bedrock', 'bedrock');
    expect(answerModelOf(createRoutingSnapshot([fromEnvironment('openai'), beside], []), acme)).toBe(
      'openai/gpt-4o-mini',
    );
    const embedsOnly = createRoutingSnapshot([fromEnvironment('openai')], [route('embeddings', 'openai/m')]);
    expect(answerModelOf(embedsOnly, acme)).toBeNull();
    expect(answerModelOf(createRoutingSnapshot([], []), acme)).toBeNull();
  });

  it('is a model that the price catalogue knows', () => {
    const catalogue = createPriceCatalogue();
    for (const [name, model] of Object.entries(defaultChatModels)) {
      const target = { provider: { name, baseUrl: 'http://10.0.0.1/v1' }, model };
      expect(catalogue.priceOf(target, new Date())?.id).toContain(`:${name}:`);
    }
  });
});
