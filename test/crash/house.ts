import type { Simulator } from '../../tools/simulator/server.ts';
import { call, testAdminKey } from '../harness/server.ts';
import type { Journal } from './journal.ts';

/** A tenant with those who act in it. */
export interface CrashTenant {
  readonly slug: string;
  readonly id: string;
  /** Sends documents and calls models. */
  readonly writerKey: string;
  /** Reads what is for everyone. */
  readonly readerKey: string;
  /** Reads what is for the group too. */
  readonly crewKey: string;
}

export const crew = 'crew';
export const chatModel = 'gpt-4o-mini';
export const embeddingModel = 'text-embedding-3-small';
/** Without vectors, and with: the index is kept differently for each. */
export const tenantSlugs = ['words', 'vectors'] as const;

/** What all parts of a run share. */
export interface CrashRun {
  readonly seed: number;
  /** Changes only while first boots are being broken. */
  dataDir: string;
  readonly simulator: Simulator;
  readonly journal: Journal;
  /** Filled by `furnish`. */
  readonly tenants: CrashTenant[];
  readonly violations: Violation[];
  /** The round that is on; 0 before the first. */
  round: number;
  /** Contents made so far: the next one has the next number. */
  contents: number;
}

/** Something that must not be. */
export interface Violation {
  readonly round: number;
  readonly rule: string;
  readonly detail: string;
}

/** More of them tell nothing new. */
const maxViolations = 200;

export function report(run: CrashRun, rule: string, detail: string): void {
  if (run.violations.length < maxViolations) run.violations.push({ round: run.round, rule, detail });
}

export function tenantOf(run: CrashRun, slug: string): CrashTenant {
  const tenant = run.tenants.find((one) => one.slug === slug);
  if (!tenant) throw new Error(`the tenant ${slug} was not set up`);
  return tenant;
}

/** Two tenants with their keys, the simulated provider and the routes to it. Everything is acknowledged when this resolves. */
export async function furnish(run: CrashRun, url: string, upstream: string): Promise<void> {
  const owner = async (method: string, path: string, body: unknown, slug?: string) => {
    const headers = slug === undefined ? {} : { 'x-tenant-id': slug };
    const reply = await call(url, testAdminKey, method, path, body, headers);
    if (reply.status >= 300) throw new Error(`${method} ${path} answered ${reply.status}: ${reply.text}`);
    return reply.json;
  };
  await owner('POST', '/api/v1/providers', {
    name: 'sim',
    kind: 'openai',
    base_url: `${upstream}/v1`,
    api_key: 'sk-test-upstream',
  });
  const route = (model: string) => ({ tiers: [{ targets: [{ provider: 'sim', model, weight: 1 }] }] });
  await owner('PUT', '/api/v1/routes/default', route(chatModel));
  for (const slug of tenantSlugs) {
    const { id } = await owner('POST', '/api/v1/tenants', {
      name: slug,
      slug,
      tier: 'starter',
      region: 'eu',
    });
    const key = async (name: string, role: string, groups: string[]) =>
      (await owner('POST', '/api/v1/keys', { name, role, groups }, slug)).key as string;
    run.tenants.push({
      slug,
      id,
      writerKey: await key('writer', 'operator', []),
      readerKey: await key('reader', 'analyst', []),
      crewKey: await key('crew', 'analyst', [crew]),
    });
  }
  await owner('PUT', '/api/v1/routes/embeddings', route(embeddingModel), 'vectors');
}
