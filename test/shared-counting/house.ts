import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { until } from '../harness/child.ts';
import type { TestDatabase } from '../harness/database.ts';
import { type RunningInstances, startInstances } from '../harness/instances.ts';
import { removeDirectory, temporaryDirectory } from '../harness/server.ts';
import { ask, newId } from './load.ts';

/** What a run found: figures to tell, and what must not be, in words. */
export interface Findings {
  readonly figures: Readonly<Record<string, unknown>>;
  readonly violations: readonly string[];
}

/** A tenant with figures of its own and a key for its calls. Looking uses another key, whose requests count apart. */
export interface LimitedTenant {
  readonly id: string;
  readonly slug: string;
  readonly admin: string;
  readonly key: string;
}

/** Two instances on one PostgreSQL and one Redis, behind a proxy at 127.0.0.1 that they trust. */
export interface House {
  readonly instances: RunningInstances;
  /** @param figures limits of its own; both instances know them when this resolves. */
  tenant(
    name: string,
    figures?: Readonly<Record<string, number>>,
    key?: Readonly<Record<string, unknown>>,
  ): Promise<LimitedTenant>;
  /** What instance i says is left of a limit of the tenant. */
  left(i: number, tenant: LimitedTenant, limit: string): Promise<number>;
  /** A hard budget of the tenant for the day, known to both instances. @returns its id. */
  budget(tenant: LimitedTenant, limitUsd: string): Promise<string>;
  /** As the API shows it at instance i, nano-dollars. */
  budgetAt(i: number, tenant: LimitedTenant, id: string): Promise<{ spent: bigint; reserved: bigint }>;
  /** All rows of the tenant, once what instances have in their spools is in the ledger. */
  ledger(tenant: LimitedTenant): Promise<LedgerRow[]>;
  stop(): Promise<void>;
}

export interface LedgerRow {
  readonly correlation_id: string;
  readonly status: string;
  readonly estimated: boolean;
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cost_nano_usd: string;
}

const settings = `
limits:
  unauthenticated_per_minute: 10
  tiers:
    enterprise: { queries_per_second: unlimited, queries_per_day: unlimited, requests_per_minute: unlimited, requests_per_day: unlimited, tokens_per_day: unlimited, concurrent: unlimited }
`;

/** @param database where it lives; a copy of the test run's when absent. */
export async function openHouse(given: { readonly database?: TestDatabase } = {}): Promise<House> {
  const folder = await temporaryDirectory();
  const file = join(folder, 'gatehouse.yaml');
  await writeFile(file, settings);
  const instances = await startInstances({
    ...given,
    simulator: { seed: 11, cachedTokens: 0, answerTokens: 400, journalLimit: 200_000 },
    env: { GATEHOUSE_CONFIG: file, GATEHOUSE_TRUSTED_PROXIES: '127.0.0.1', LOG_LEVEL: 'warn' },
  });
  const ledgerClient = new pg.Client({ connectionString: instances.database.url });
  await ledgerClient.connect();
  let named = 0;

  const house: House = {
    instances,
    async tenant(name, figures = {}, key = {}) {
      const slug = `${name}-${++named}`;
      const { id, admin } = await instances.tenant(slug);
      const tenant = { id, slug, admin, key: await instances.keyIn(slug, 'analyst', key) };
      // While nothing is limited nothing is counted, so looking takes nothing from what is tested.
      for (const i of [0, 1]) {
        for (const known of [admin, tenant.key])
          await until(async () => (await instances.callAs(i, known, 'GET', '/v1/models')).status === 200);
      }
      const changed = await instances.call(0, 'PATCH', `/api/v1/tenants/${slug}`, { limits: figures });
      if (changed.status !== 200) throw new Error(changed.text);
      for (const i of [0, 1]) {
        await until(async () => {
          const shown = await instances.callAs(i, admin, 'GET', '/api/v1/rate-limits');
          const isKnown = (limit: string) =>
            limit === 'burst' ||
            shown.json.limits?.some(
              (one: { limit: string; source: string }) => one.limit === limit && one.source === 'override',
            );
          // Who looks is limited, too, and only by an instance that knows.
          return shown.status === 429 || Object.keys(figures).every(isKnown);
        });
      }
      return tenant;
    },
    async left(i, tenant, limit) {
      const shown = await instances.callAs(i, tenant.admin, 'GET', '/api/v1/rate-limits');
      return shown.json.limits.find((one: { limit: string }) => one.limit === limit).remaining;
    },
    async budget(tenant, limitUsd) {
      const path = '/api/v1/costs/budget';
      const budget = { scope: 'tenant', period: 'day', limit_usd: '0.000000001', hard_limit: true };
      const asOwner = (method: string, to: string, body: object) =>
        instances.call(0, method, to, body, { 'x-tenant-id': tenant.slug });
      const made = await asOwner('POST', path, budget);
      if (made.status !== 201) throw new Error(made.text);
      // First so small that nothing fits, then as it is to be: calls tell when an instance knows it.
      const known = (i: number, status: number) =>
        until(async () => {
          const small = {
            url: instances.server(i).url,
            key: tenant.key,
            correlation: `${tenant.slug}.${newId()}`,
          };
          return (await ask(small, chatBody(1))).status === status;
        });
      for (const i of [0, 1]) await known(i, 402);
      const limit = { limit_usd: limitUsd };
      const changed = await asOwner('PATCH', `${path}s/${made.json.id}`, limit);
      if (changed.status !== 200) throw new Error(changed.text);
      for (const i of [0, 1]) await known(i, 200);
      return made.json.id;
    },
    async budgetAt(i, tenant, id) {
      const shown = await instances.callAs(i, tenant.admin, 'GET', `/api/v1/costs/budgets/${id}`);
      if (shown.status !== 200) throw new Error(shown.text);
      return { spent: nano(shown.json.spent_usd), reserved: nano(shown.json.reserved_usd) };
    },
    async ledger(tenant) {
      for (const i of [0, 1]) {
        await until(
          async () =>
            (
              await instances.call(i, 'GET', '/api/v1/costs/summary', undefined, {
                'x-tenant-id': tenant.slug,
              })
            ).status === 200,
        );
      }
      const { rows } = await ledgerClient.query<LedgerRow>(
        `select correlation_id, status, estimated, input_tokens::int, output_tokens::int, cost_nano_usd
         from ledger where tenant_id = $1`,
        [tenant.id],
      );
      return rows;
    },
    async stop() {
      await ledgerClient.end();
      await instances.stop();
      await removeDirectory(folder);
    },
  };
  return house;
}

/** A question that is answered with as many tokens as allowed, or fewer. */
export const chatBody = (maxTokens: number, more: object = {}) => ({
  model: 'openai/gpt-4o',
  max_tokens: maxTokens,
  messages: [{ role: 'user', content: 'Tell me of the sea' }],
  ...more,
});

/** List price of gpt-4o: 2.50 and 10.00 dollars a million tokens. */
export const costOf = (inputTokens: number, outputTokens: number): bigint =>
  BigInt(inputTokens) * 2_500n + BigInt(outputTokens) * 10_000n;

/** A decimal of nine places as nano-dollars. */
export const nano = (usd: string): bigint => BigInt(usd.replace('.', ''));
export const usd = (nanoUsd: bigint): string => (Number(nanoUsd) / 1e9).toFixed(6);
export const sumOf = (amounts: readonly bigint[]): bigint => amounts.reduce((sum, one) => sum + one, 0n);
