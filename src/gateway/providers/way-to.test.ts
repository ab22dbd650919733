import { describe, expect, it } from 'vitest';
import type { ProviderKind, Target } from '../../routing/index.ts';
import type { DialectName } from '../model-call.ts';
import { wayTo } from './way-to.ts';

const way = (kind: ProviderKind, dialect: DialectName) =>
  wayTo({ provider: { kind }, model: 'm' } as unknown as Target, dialect);

describe('the way to a provider', () => {
  it.each<[ProviderKind, DialectName, ReturnType<typeof wayTo>]>([
    ['openai', 'openai-chat', 'passed_through'],
    ['openai', 'openai-responses', 'passed_through'],
    ['openai', 'anthropic-messages', 'translated'],
    ['openai-compatible', 'openai-chat', 'passed_through'],
    ['openai-compatible', 'openai-responses', 'translated'],
    ['anthropic', 'anthropic-messages', 'passed_through'],
    ['anthropic', 'openai-chat', 'translated'],
    ['anthropic', 'openai-embeddings', 'not_possible'],
    ['gemini', 'openai-chat', 'translated'],
    ['bedrock', 'openai-chat', 'translated'],
    ['openai', 'anthropic-count-tokens', 'not_possible'],
  ])('%s for %s is %s', (kind, dialect, expected) => expect(way(kind, dialect)).toBe(expected));
});
