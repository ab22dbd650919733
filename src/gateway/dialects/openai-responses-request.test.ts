import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Provider, Target } from '../../routing/index.ts';
import { readResponsesRequest } from './openai-responses-request.ts';
import { sealReasoning } from './openai-responses-seal.ts';

const here = (model: string): Target => ({
  tier: 'primary',
  weight: 1,
  model,
  provider: { id: 'p', name: 'p', baseUrl: 'http://127.0.0.1:1/v1' } as unknown as Provider,
});
const read = (text: string) => readResponsesRequest(Buffer.from(text));
const sent = (text: string, model: string) => read(text).bodyFor(here(model)).toString('utf8');
const sealed = sealReasoning({ anthropic: { signature: 's1' } });

describe('a request for a response', () => {
  it('reaches the provider as it came, but for the model name', () => {
    const text = '{ "model" : "fast", "input":"h\\u00e9", "stream":true, "x": 12345678901234567890.10 }';
    expect(sent(text, 'gpt-5')).toBe(text.replace('"fast"', '"gpt-5"'));
    const bytes = Buffer.from(text);
    expect(readResponsesRequest(bytes).bodyFor(here('fast'))).toBe(bytes);
  });

  it('has one model name even when it came with two', () => {
    const text = '{"model":"cheap","input":"","mod\\u0065l":"dear"}';
    expect(read(text).model).toBe('dear');
    expect(sent(text, 'allowed')).toBe('{"model":"allowed","input":"","mod\\u0065l":"allowed"}');
  });

  it('leaves out the reasoning that another provider signed, and no other byte', () => {
    const ours = { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: sealed };
    const item = fc.oneof(
      fc.constant(ours),
      fc.constant({ ...ours, encrypted_content: 'gAAAA' }),
      // What only speaks of it stays.
      fc.constant({ role: 'user', content: String(sealed) }),
      fc.record({ role: fc.constant('user'), content: fc.string() }),
    );
    fc.assert(
      fc.property(fc.array(item), fc.integer({ min: 0, max: 3 }), (input, indent) => {
        const text = JSON.stringify({ model: 'fast', input, temperature: 1 }, null, indent);
        const kept = input.filter((given) => given !== ours);
        const after = sent(text, 'gpt-5');
        expect(JSON.parse(after)).toEqual({ model: 'gpt-5', input: kept, temperature: 1 });
        if (kept.length === input.length) expect(after).toBe(text.replace('"fast"', '"gpt-5"'));
      }),
    );
  });

  it('may be sent twice, unless the provider acts or keeps state for it', () => {
    const repeatable = (members: object) =>
      read(JSON.stringify({ model: 'm', input: 'x', ...members })).repeatable;
    expect(repeatable({})).toBe(true);
    expect(repeatable({ store: true, previous_response_id: 'resp_1' })).toBe(true);
    expect(
      repeatable({
        tools: [
          { type: 'function', name: 'f' },
          { type: 'custom', name: 'c' },
        ],
      }),
    ).toBe(true);
    const hosted = [
      ...['web_search', 'file_search', 'code_interpreter', 'computer_use_preview', 'mcp', 'image_generation'],
      ...['shell', 'local_shell', 'something_new'],
    ];
    for (const type of hosted)
      expect({ type, may: repeatable({ tools: [{ type }] }) }).toEqual({ type, may: false });
    expect(repeatable({ tools: 'all' })).toBe(false);
    expect(repeatable({ conversation: 'conv_1' })).toBe(false);
    expect(repeatable({ prompt: { id: 'pmpt_1' } })).toBe(false);
  });

  it('bounds its output, streams and is estimated', () => {
    expect(read('{"model":"m","input":"x","max_output_tokens":10}').outputBound).toBe(10);
    expect(read('{"model":"m","input":"x","max_output_tokens":"10"}').outputBound).toBeNull();
    expect(read('{"model":"m","input":"x","stream":true}').streamed).toBe(true);
    const image = { type: 'input_image', image_url: `data:image/png;base64,${'A'.repeat(100_000)}` };
    const content = [{ type: 'input_text', text: 'What is this?' }, image];
    const estimate = read(
      JSON.stringify({ model: 'm', instructions: 'Be brief', input: [{ role: 'user', content }] }),
    ).estimateInputTokens({ provider: { kind: 'openai' }, model: 'gpt-4o' } as Target);
    expect(estimate).toBeGreaterThan(760);
    expect(estimate).toBeLessThan(900);
  });

  it.each([
    ['{"model":"m","input":7}', 'bad_request', /"input"/],
    ['{"input":"x"}', 'bad_request', /"model"/],
    ['{"model":"m","input":"x","stream":1}', 'bad_request', /"stream"/],
    ['{"model":"m","input":"x","background":true}', 'invalid', /"background"/],
    ['{"model":"m"', 'bad_request', /not valid JSON/],
  ])('refuses %s', (text, code, detail) => {
    expect(() => read(text)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(detail) }),
    );
  });

  it('leaves a request without input to the provider, which may have it from a prompt', () => {
    expect(read('{"model":"m","prompt":{"id":"pmpt_1"}}').model).toBe('m');
  });
});
