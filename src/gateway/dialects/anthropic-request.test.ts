import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Target } from '../../routing/index.ts';
import { readAnthropicRequest } from './anthropic-request.ts';

const target = (model: string) => ({ model }) as Target;
const read = (body: unknown, headers = {}) =>
  readAnthropicRequest(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)), headers);
const hello = { model: 'fast', max_tokens: 10, messages: [{ role: 'user', content: 'hi' }] };

describe('a request on its way to Anthropic', () => {
  it('is the caller’s bytes but for the model name, every one of them', () => {
    const body =
      '{"model":"a",\n"messages":[{"role":"user","content":"\\"model\\":1"}], "x":1.50,"model":"fast"}';
    expect(read(body).bodyFor(target('claude "x"')).toString()).toBe(
      body.replace('"a"', '"claude \\"x\\""').replace('"fast"', '"claude \\"x\\""'),
    );
    expect(read(hello).bodyFor(target('fast')).toString()).toBe(JSON.stringify(hello));
  });

  it('says the same as before to a JSON parser, whatever is in it', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.string(), (extra, model) => {
        const body = { ...extra, ...hello };
        const sent = JSON.parse(read(body).bodyFor(target(model)).toString());
        expect(sent).toEqual(JSON.parse(JSON.stringify({ ...body, model })));
      }),
    );
  });

  it('names the version and the features in trial that the caller counts on, and no other header', () => {
    expect(read(hello).passedHeaders).toEqual(['anthropic-version', '2023-06-01']);
    const headers = {
      'anthropic-version': '2027-01-01',
      'anthropic-beta': 'a,b',
      'x-api-key': 'gh_test',
      cookie: 'a=b',
    };
    expect(read(hello, headers).passedHeaders).toEqual([
      ...['anthropic-version', '2027-01-01'],
      ...['anthropic-beta', 'a,b'],
    ]);
    expect(() => read(hello, { 'anthropic-beta': 'x'.repeat(3_000) })).toThrow('anthropic-beta');
  });

  it('may be sent again unless the provider acts on the world', () => {
    const client = [
      'custom',
      'bash_20250124',
      'text_editor_20250728',
      'computer_20250124',
      'memory_20250818',
    ];
    expect(read({ ...hello, tools: [{ name: 'f' }, ...client.map((type) => ({ type }))] }).repeatable).toBe(
      true,
    );
    expect(read({ ...hello, mcp_servers: [], container: null }).repeatable).toBe(true);
    for (const type of [
      'web_search_20250305',
      'web_fetch_20250910',
      'code_execution_20250825',
      'mcp_toolset',
      'new_1',
    ]) {
      expect(read({ ...hello, tools: [{ name: 'f' }, { type }] }).repeatable).toBe(false);
    }
    expect(read({ ...hello, mcp_servers: [{ url: 'https://mcp.example' }] }).repeatable).toBe(false);
    expect(read({ ...hello, container: 'container_1' }).repeatable).toBe(false);
  });

  it('is refused by the name of what is wrong with it', () => {
    expect(() => read({ ...hello, model: 7 })).toThrow('"model"');
    expect(() => read({ ...hello, messages: 'hi' })).toThrow('"messages"');
    expect(() => read({ ...hello, stream: 'yes' })).toThrow('"stream"');
    expect(() => read('[1]')).toThrow('JSON object');
    expect(() => readAnthropicRequest(undefined, {})).toThrow('application/json');
  });

  it('that only counts tokens writes none and streams nothing', () => {
    const counting = readAnthropicRequest(Buffer.from(JSON.stringify({ ...hello, stream: true })), {}, true);
    expect(counting).toMatchObject({ streamed: false, outputBound: 0, repeatable: true });
    expect(read(hello)).toMatchObject({ streamed: false, outputBound: 10 });
    expect(read({ ...hello, max_tokens: -1, stream: true })).toMatchObject({
      streamed: true,
      outputBound: null,
    });
  });

  it('is estimated by what is said in it, not by the bytes of a picture', () => {
    const image = {
      type: 'image',
      source: { type: 'base64', media_type: 'image/png', data: 'A'.repeat(1e6) },
    };
    const pdf = {
      type: 'document',
      source: { type: 'base64', media_type: 'application/pdf', data: 'A'.repeat(1e5) },
    };
    const estimate = (content: unknown, more = {}) =>
      read({ ...hello, ...more, messages: [{ role: 'user', content }] }).estimateInputTokens({
        provider: { kind: 'anthropic' },
        model: 'claude-sonnet-4-5',
      } as Target);
    expect(estimate('four tokens or so')).toBe(9);
    expect(estimate([{ type: 'text', text: 'four tokens or so' }])).toBe(9);
    expect(estimate([image])).toBe(1_403);
    // Two pages' worth of bytes.
    expect(estimate([pdf])).toBe(6_004);
    expect(estimate('', { system: 'x'.repeat(40), tools: [{ name: 'f' }] })).toBe(4 + 10 + 4);
    const result = {
      type: 'tool_result',
      tool_use_id: 'x'.repeat(500),
      content: [{ type: 'text', text: 'x'.repeat(40) }],
    };
    expect(estimate([result])).toBe(14);
  });
});
