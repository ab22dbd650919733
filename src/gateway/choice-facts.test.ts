import { describe, expect, it } from 'vitest';
import { choiceFacts, expectedUsage } from './choice-facts.ts';
import { openAiChat } from './dialects/openai-chat.ts';
import type { ModelCall } from './model-call.ts';

const call = (body: object, more: object = {}): ModelCall =>
  ({
    caller: { principal: { tenantId: 't', keyId: 'the key' } },
    dialect: openAiChat,
    request: {
      bytes: Buffer.from(JSON.stringify(body)),
      outputBound: null,
      parsed: () => body,
    },
    ...more,
  }) as unknown as ModelCall;
const session = (body: object, more: object = {}) => choiceFacts(call(body, more)).session();

describe('the session of a call', () => {
  const everything = { prompt_cache_key: 'thread', user: 'someone', metadata: { user_id: 'anyone' } };

  it('is what the header says, whatever is in the body', () => {
    expect(session(everything, { headers: { 'x-gatehouse-session': 'mine' } })).toBe('mine');
    expect(session(everything, { headers: { 'x-gatehouse-session': '' } })).toBe('thread');
  });

  it('is what the dialect has for it, the narrower thing first, else the key', () => {
    expect(session(everything)).toBe('thread');
    expect(session({ ...everything, prompt_cache_key: null })).toBe('someone');
    expect(session({ metadata: { user_id: 'anyone' } })).toBe('anyone');
    for (const nothing of [
      {},
      { user: 7 },
      { user: '' },
      { metadata: null },
      { metadata: { user_id: {} } },
    ]) {
      expect(session(nothing)).toBe('the key');
    }
  });
});

describe('the tokens that a call is expected to use', () => {
  it('follow from its size and its bound on output', () => {
    const given = call({ messages: 'x'.repeat(400) });
    expect(expectedUsage(given).inputTokens).toBeGreaterThan(100);
    expect(expectedUsage(given).outputTokens).toBe(1_024);
    const bound = { ...given, request: { ...given.request, outputBound: 7 } };
    expect(expectedUsage(bound).outputTokens).toBe(7);
  });
});
