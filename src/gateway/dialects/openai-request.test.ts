import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Provider, Target } from '../../routing/index.ts';
import { chatRequestRules } from './openai-chat.ts';
import { readOpenAiRequest } from './openai-request.ts';

const targetAt = (baseUrl: string, model: string): Target => ({
  tier: 'primary',
  weight: 1,
  model,
  provider: { id: 'p', name: 'p', baseUrl } as unknown as Provider,
});
const here = (model: string) => targetAt('http://127.0.0.1:1/v1', model);
const read = (text: string) => readOpenAiRequest(Buffer.from(text), chatRequestRules);
const sent = (text: string, target: Target) => read(text).bodyFor(target).toString('utf8');

const freeMembers = fc.dictionary(
  fc.string().filter((key) => !['model', 'messages', 'stream', 'stream_options'].includes(key)),
  fc.jsonValue(),
  { maxKeys: 4 },
);
const options = fc.oneof(
  fc.constant(undefined),
  fc.constant(null),
  fc.record(
    { include_usage: fc.oneof(fc.boolean(), fc.constant(null)), include_obfuscation: fc.boolean() },
    { requiredKeys: [] },
  ),
);
const request = fc
  .tuple(freeMembers, fc.option(fc.boolean()), options, fc.integer({ min: 0, max: 3 }))
  .map(([members, stream, streamOptions, indent]) => {
    const body = {
      ...members,
      model: 'fast',
      messages: [{ role: 'user', content: 'hi' }],
      stream,
      stream_options: streamOptions,
    };
    const entries = Object.entries(body).sort(([a], [b]) => (a < b ? -1 : 1));
    return JSON.stringify(Object.fromEntries(entries), null, indent);
  });

describe('a chat request', () => {
  it('reaches the provider with another model name and a wish for usage, and otherwise as it came', () => {
    fc.assert(
      fc.property(request, fc.string({ minLength: 1 }), (text, model) => {
        const before = JSON.parse(text);
        const after = JSON.parse(sent(text, here(model)));
        const streamed = before.stream === true;
        const expected = { ...before, model };
        if (streamed) expected.stream_options = { ...(before.stream_options ?? {}), include_usage: true };
        expect(after).toEqual(expected);
        expect(read(text).hidesUsageEvent).toBe(streamed && before.stream_options?.include_usage !== true);
      }),
      { numRuns: 500 },
    );
  });

  it('is the very same bytes when nothing has to change', () => {
    const bytes = Buffer.from('{ "model" : "gpt-4o-mini", "messages":[], "x": 12345678901234567890.10 }');
    expect(readOpenAiRequest(bytes, chatRequestRules).bodyFor(here('gpt-4o-mini'))).toBe(bytes);
    const asking = Buffer.from(
      '{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}',
    );
    expect(readOpenAiRequest(asking, chatRequestRules).bodyFor(here('m'))).toBe(asking);
  });

  it('keeps numbers that no double holds, and every other byte', () => {
    expect(sent('{"seed":12345678901234567890, "model":"fast","messages":[]}', here('m"x'))).toBe(
      '{"seed":12345678901234567890, "model":"m\\"x","messages":[]}',
    );
  });

  it('has one model name even when it came with two, however they are spelled', () => {
    const text = '{"model":"cheap","messages":[],"mod\\u0065l":"dear"}';
    expect(read(text).model).toBe('dear');
    expect(sent(text, here('allowed'))).toBe('{"model":"allowed","messages":[],"mod\\u0065l":"allowed"}');
  });

  it('does not ask a server for usage that refuses what it does not know', () => {
    const text = '{"model":"m","messages":[],"stream":true}';
    expect(sent(text, targetAt('https://api.mistral.ai/v1', 'm'))).toBe(text);
  });

  it('knows the bound on output for all choices', () => {
    expect(read('{"model":"m","messages":[],"max_tokens":10}').outputBound).toBe(10);
    expect(
      read('{"model":"m","messages":[],"max_tokens":10,"max_completion_tokens":20,"n":3}').outputBound,
    ).toBe(60);
    expect(read('{"model":"m","messages":[],"max_tokens":"10"}').outputBound).toBeNull();
  });

  it('estimates texts, tools and pictures, and not the bytes of a picture', () => {
    const image = { type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(100_000)}` } };
    const content = [{ type: 'text', text: 'What is this?' }, image];
    const estimate = read(
      JSON.stringify({ model: 'm', messages: [{ role: 'user', content }] }),
    ).estimateInputTokens({ provider: { kind: 'openai' }, model: 'gpt-4o' } as Target);
    expect(estimate).toBeGreaterThan(700);
    expect(estimate).toBeLessThan(900);
  });

  const refused: [string, string, RegExp][] = [
    ['{"model":"m","messages":[]', 'bad_request', /not valid JSON/],
    ['[]', 'bad_request', /must be a JSON object/],
    ['null', 'bad_request', /must be a JSON object/],
    ['{"messages":[]}', 'bad_request', /"model" must be a string/],
    ['{"model":"","messages":[]}', 'bad_request', /"model"/],
    ['{"model":"a b","messages":[]}', 'bad_request', /"model"/],
    ['{"model":"a\\u0000","messages":[]}', 'bad_request', /"model"/],
    ['{"model":"m"}', 'bad_request', /"messages"/],
    ['{"model":"m","messages":[],"stream":"true"}', 'bad_request', /"stream"/],
  ];
  it.each(refused)('refuses %s', (text, code, detail) => {
    expect(() => read(text)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(detail) }),
    );
  });

  it('refuses bytes that are no text, and no bytes at all', () => {
    expect(() => readOpenAiRequest(Buffer.from([0x7b, 0xff, 0x7d]), chatRequestRules)).toThrow(/UTF-8/);
    expect(() => readOpenAiRequest(undefined, chatRequestRules)).toThrow(/application\/json/);
  });
});
