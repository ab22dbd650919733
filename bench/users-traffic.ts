import type { BenchTexts } from './search-texts.ts';

/** What users do, and how often: shares of all requests, in percent. */
export const shares = { chat: 55, stream: 25, embeddings: 10, query: 8, admin: 2 } as const;
export type Kind = keyof typeof shares;
export const kinds = Object.keys(shares) as readonly Kind[];

/** What a provider of models is asked itself; the others are Gatehouse's own. */
export const providerKinds = ['chat', 'stream', 'embeddings'] as const;

export interface Ask {
  readonly kind: Kind;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: string;
}

/** Names of models: routes of Gatehouse's, or the provider's own names. */
export interface ModelNames {
  readonly chat: string;
  readonly embeddings: string;
}

const adminReads = [
  '/api/v1/keys',
  '/api/v1/documents',
  '/api/v1/routes',
  '/api/v1/costs/ledger?limit=20',
  '/api/v1/costs/summary',
];
const longestPrompt = 2_000;
const mostInputs = 8;
/** Vectors of a fixed, smaller size: what is measured is not the writing of numbers by the simulator. */
const vectorDimensions = 256;

/** Draws a kind by the shares. @param chance in [0, 1). */
export function drawKind(chance: () => number): Kind {
  let left = chance() * 100;
  for (const kind of kinds) {
    left -= shares[kind];
    if (left < 0) return kind;
  }
  return 'chat';
}

/**
 * A request of that kind, another each time, so that nothing is answered from a cache.
 * @param passages texts of documents of the one who asks; questions are about one of them.
 */
export function composeAsk(
  kind: Kind,
  models: ModelNames,
  texts: BenchTexts,
  passages: readonly string[],
  chance: () => number,
): Ask {
  const pick = <Item>(items: readonly Item[]): Item | undefined => items[Math.floor(chance() * items.length)];
  const about = pick(passages) ?? texts.chunk();
  const prompt = (): string => `${texts.question(about)} (${chance()})`;
  switch (kind) {
    case 'chat':
    case 'stream': {
      const context = about.slice(0, Math.floor(chance() * longestPrompt));
      const messages = [
        { role: 'system', content: 'You are a helpful assistant who answers briefly.' },
        { role: 'user', content: `${context}\n${prompt()}` },
      ];
      const body = { model: models.chat, messages, ...(kind === 'stream' && { stream: true }) };
      return { kind, method: 'POST', path: '/v1/chat/completions', body: JSON.stringify(body) };
    }
    case 'embeddings': {
      const input = Array.from({ length: 1 + Math.floor(chance() * mostInputs) }, prompt);
      const body = JSON.stringify({ model: models.embeddings, input, dimensions: vectorDimensions });
      return { kind, method: 'POST', path: '/v1/embeddings', body };
    }
    case 'query':
      return { kind, method: 'POST', path: '/api/v1/query', body: JSON.stringify({ query: prompt() }) };
    case 'admin':
      return { kind, method: 'GET', path: pick(adminReads) ?? '/api/v1/keys' };
  }
}
