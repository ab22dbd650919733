import { describe, expect, it } from 'vitest';
import type { Principal } from '../../access/index.ts';
import type { Provider, Route } from '../resolution.ts';
import { visibleTargets } from './provider-health.ts';
import type { TargetStatus } from './target-record.ts';

const providerOf = (name: string, tenantId: string | null): Provider => ({
  id: `${tenantId} ${name}`,
  tenantId,
  name,
  kind: 'openai',
  baseUrl: 'http://127.0.0.1:1/v1',
  keys: [],
  keyProblem: null,
  settings: {},
  localAddressesAllowed: true,
  source: 'stored',
  createdAt: new Date(0),
});
const statusOf = (provider: Provider, model: string, state: TargetStatus['state']): TargetStatus => ({
  provider,
  model,
  state,
  since: null,
  openUntil: null,
  consecutiveFailures: 0,
  lastFailure: null,
  inFlight: 0,
  latencyMs: 12,
  attempts: 3,
  failures: 0,
});
const platform = providerOf('shared', null);
const own = providerOf('own', 'a');
const route: Route = {
  id: 'r',
  tenantId: null,
  name: 'fast',
  strategy: 'priority',
  cache: { mode: 'off' },
  tiers: [
    {
      targets: [
        { provider: 'shared', model: 'routed', weight: 1 },
        { provider: 'own', model: 'unused', weight: 1 },
      ],
    },
  ],
  createdAt: new Date(0),
  updatedAt: new Date(0),
};
const statuses = [
  statusOf(platform, 'routed', 'closed'),
  statusOf(platform, 'named-by-another-tenant', 'closed'),
  statusOf(own, 'used', 'open'),
];
const seenBy = (principal: Pick<Principal, 'role'>) =>
  visibleTargets(
    {
      providers: () => [platform, own],
      routes: () => [route],
      health: { statusOf: (provider) => statuses.filter((status) => status.provider === provider) },
    },
    principal as Principal,
  ).map(({ provider, model, status, detailed }) => [provider.name, model, status?.state, detailed]);

describe('the health that a caller may see', () => {
  it('is all of their own providers and, of the platform’s, how the targets of their routes are', () => {
    expect(seenBy({ role: 'admin' })).toEqual([
      ['own', 'used', 'open', true],
      ['shared', 'routed', 'closed', false],
      ['own', 'unused', undefined, true],
    ]);
  });

  it('is everything for the owner', () => {
    expect(seenBy({ role: 'owner' })).toContainEqual(['shared', 'named-by-another-tenant', 'closed', true]);
  });
});
