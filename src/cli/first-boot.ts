import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TenantFacts } from '../access/index.ts';
import type { Random } from '../platform/random.ts';

/** What first boot needs of the capabilities; `compose.ts` supplies it. */
export interface FirstBootSteps {
  isDone(): Promise<boolean>;
  markDone(): Promise<void>;
  /** The tenant `demo`, made when it is not there yet. */
  demoTenant(): Promise<TenantFacts>;
  createOwner(tenant: TenantFacts, email: string, password: string): Promise<void>;
  createOwnerKey(tenant: TenantFacts): Promise<string>;
  /** Resolves when the document can be searched, or has failed; the same document again is a no-op. */
  ingest(tenant: TenantFacts, document: { externalId: string; title: string; text: string }): Promise<void>;
}

export interface FirstBootResult {
  readonly documents: number;
  readonly email: string;
  readonly password: string;
  /** Null when GATEHOUSE_ADMIN_KEY is set: that is the key then, and is not repeated. */
  readonly apiKey: string | null;
}

const ownerEmail = 'owner@localhost';
const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Makes the platform owner and the tenant `demo`, and ingests this project's own documentation into it, so that the first
 * question has an answer. Runs to its end once; an interrupted run is repeated, and repeats nothing that was done.
 * @returns null when it was done before.
 */
export async function firstBoot(
  steps: FirstBootSteps,
  random: Random,
  adminKeyIsSet: boolean,
): Promise<FirstBootResult | null> {
  if (await steps.isDone()) return null;
  const tenant = await steps.demoTenant();
  const password = random.bytes(16).toString('base64url');
  await steps.createOwner(tenant, ownerEmail, password);
  const documents = await ownDocuments();
  // All at once: the queue bounds what runs, and the whole takes no longer than its slowest.
  await Promise.all(documents.map((document) => steps.ingest(tenant, document)));
  const apiKey = adminKeyIsSet ? null : await steps.createOwnerKey(tenant);
  return { documents: documents.length, email: ownerEmail, password, apiKey };
}

async function ownDocuments(): Promise<{ externalId: string; title: string; text: string }[]> {
  const inDocs = await readdir(join(root, 'docs'), { recursive: true });
  const paths = ['README.md', 'ARCHITECTURE.md', ...inDocs.map((path) => join('docs', path))];
  const markdown = paths.filter((path) => path.endsWith('.md')).sort();
  return Promise.all(
    markdown.map(async (path) => {
      const text = await readFile(join(root, path), 'utf8');
      const heading = /^# (.+)$/m.exec(text)?.[1];
      return { externalId: path, title: heading ?? path, text };
    }),
  );
}
