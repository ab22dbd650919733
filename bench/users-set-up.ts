import type { BenchGatehouse } from './gatehouse.ts';
import type { BenchTexts } from './search-texts.ts';

/** A tenant of the benchmark, with what its users need. */
export interface BenchTenant {
  readonly slug: string;
  /** Keys of applications. */
  readonly keys: readonly string[];
  /** A key of its administrator. */
  readonly adminKey: string;
  /** Texts that its documents are made of. */
  readonly passages: readonly string[];
}

export interface Town {
  readonly tenants: number;
  readonly keysPerTenant: number;
  readonly documentsPerTenant: number;
}

const passagesPerDocument = 4;
const embeddingModel = 'text-embedding-3-small';

/**
 * Makes the routes by which answers are written and vectors made, and tenants with keys and documents that can be
 * searched when this resolves.
 */
export async function setUpTenants(
  { api }: BenchGatehouse,
  town: Town,
  texts: BenchTexts,
): Promise<BenchTenant[]> {
  const route = (model: string) => ({ tiers: [{ targets: [{ provider: 'sim', model, weight: 1 }] }] });
  await api(null, 'PUT', 'routes/default', route('gpt-4o-mini'));
  await api(null, 'PUT', 'routes/embeddings', route(embeddingModel));
  const made: BenchTenant[] = [];
  for (let number = 1; number <= town.tenants; number += 1) {
    const slug = `bench-${number}`;
    await api(null, 'POST', 'tenants', { name: `Bench ${number}`, slug, tier: 'enterprise' });
    const keyOf = async (name: string, role: string): Promise<string> =>
      ((await api(slug, 'POST', 'keys', { name, role })) as { key: string }).key;
    const keys: string[] = [];
    for (let at = 1; at <= town.keysPerTenant; at += 1) keys.push(await keyOf(`app ${at}`, 'analyst'));
    const adminKey = await keyOf('administration', 'admin');
    const passages = await addDocuments(api, slug, town.documentsPerTenant, texts);
    made.push({ slug, keys, adminKey, passages });
  }
  return made;
}

async function addDocuments(
  api: BenchGatehouse['api'],
  slug: string,
  documents: number,
  texts: BenchTexts,
): Promise<string[]> {
  const passages: string[] = [];
  for (let number = 1; number <= documents; number += 1) {
    const own = Array.from({ length: passagesPerDocument }, () => texts.chunk());
    passages.push(...own);
    await api(slug, 'POST', 'documents?wait=true', { title: `Document ${number}`, text: own.join('\n\n') });
  }
  return passages;
}
