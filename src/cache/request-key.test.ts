import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keyOf } from './cache-key.ts';
import { normalForm, understandRequest } from './request-key.ts';

const normal = (body: unknown, dialect = 'openai-chat', streamed = false) =>
  understandRequest(dialect, Buffer.from(JSON.stringify(body)), streamed)?.normal ?? null;

/** The same value with the members of every object in another order. */
function reordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reordered);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([name, member]) => [name, reordered(member)]),
  );
}

describe('the normal form of a body', () => {
  it('is one for all orders of members, and another for another value', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.jsonValue({ maxDepth: 5 }), (one, other) => {
        const form = normalForm(one, 0);
        expect(normalForm(reordered(one), 0)).toBe(form);
        expect(JSON.parse(form ?? '')).toEqual(JSON.parse(JSON.stringify(one)));
        const equal = JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
        expect(normalForm(other, 0) === form).toBe(equal);
      }),
    );
  });

  it('is not looked for in what is nested without end', () => {
    const deep = `${'['.repeat(5_000)}${']'.repeat(5_000)}`;
    const bytes = Buffer.from(`{"messages":${deep}}`);
    expect(understandRequest('openai-chat', bytes, false)).toBeNull();
  });
});

describe('a request', () => {
  it('that says something twice is nobody else’s: the provider may have heard the other of the two', () => {
    const twice = Buffer.from(
      '{"messages":[{"role":"user","content":"one"}],"messages":[{"role":"user","content":"two"}]}',
    );
    expect(understandRequest('openai-chat', twice, false)).toBeNull();
  });

  const messages = [{ role: 'user', content: 'Hi' }];

  it('is the same with other labels for the provider’s records, in each dialect', () => {
    const chat = normal({ model: 'a', messages });
    expect(
      normal({
        model: 'b',
        messages,
        user: 'u',
        metadata: { k: 'v' },
        safety_identifier: 's',
        stream: false,
      }),
    ).toBe(chat);
    expect(normal({ messages, prompt_cache_key: 'k', stream_options: { include_usage: true } })).toBe(chat);
    const anthropic = normal({ messages, max_tokens: 5 }, 'anthropic-messages');
    expect(normal({ messages, max_tokens: 5, metadata: { user_id: 'u' } }, 'anthropic-messages')).toBe(
      anthropic,
    );
    expect(normal({ messages, max_tokens: 5, user: 'u' }, 'anthropic-messages')).not.toBe(anthropic);
  });

  it('is another one with other labels where the answer repeats them', () => {
    const labelled = (label: object) => normal({ input: 'Hi', ...label }, 'openai-responses');
    for (const label of [{ metadata: { order: '4711' } }, { user: 'u' }, { prompt_cache_key: 'k' }]) {
      expect(labelled(label)).not.toBe(labelled({}));
    }
  });

  it('is another one with other options of its stream', () => {
    const streamed = (more: object) => normal({ messages, stream: true, ...more }, 'openai-chat', true);
    expect(streamed({ stream_options: { include_usage: true } })).not.toBe(streamed({}));
  });

  it('is not kept when it is made for its effect, or depends on what the provider keeps', () => {
    for (const effect of [{ store: true }, { background: true }, { conversation: 'conv_1' }]) {
      expect(normal({ input: 'Hi', ...effect }, 'openai-responses')).toBeNull();
    }
    expect(normal({ input: 'Hi', store: false, conversation: null }, 'openai-responses')).not.toBeNull();
    for (const dialect of ['openai-chat', 'openai-responses', 'anthropic-messages']) {
      expect(normal({ messages, metadata: { kapa_thread_id: 'thread-1' } }, dialect)).toBeNull();
    }
    expect(normal({ messages }, 'a-dialect-nobody-knows')).toBeNull();
  });

  it('keeps numbers apart that a double cannot', () => {
    const bytes = (seed: string) => Buffer.from(`{"messages":[],"seed":${seed}}`);
    const of = (seed: string) => understandRequest('openai-chat', bytes(seed), false)?.normal;
    expect(of('9007199254740993')).not.toBe(of('9007199254740992'));
  });
});

describe('the question of a request', () => {
  const question = (body: object, dialect = 'openai-chat') =>
    understandRequest(dialect, Buffer.from(JSON.stringify(body)), false)?.question() ?? null;

  it('is the last turn’s text, and everything else stands beside it', () => {
    const system = { role: 'system', content: 'Be brief.' };
    const one = question({ messages: [system, { role: 'user', content: ' What is  the time?\n' }] });
    const two = question({ messages: [system, { role: 'user', content: 'How late is it?' }] });
    expect(one?.text).toBe('What is the time?');
    expect(one?.rest).toBe(two?.rest);
    const others = [
      {
        messages: [
          { role: 'system', content: 'Be long.' },
          { role: 'user', content: 'How late is it?' },
        ],
      },
      { messages: [system, { role: 'user', content: 'How late is it?' }], temperature: 1 },
      {
        messages: [
          system,
          { role: 'user', content: 'Hello' },
          { role: 'assistant', content: 'Hi' },
          { role: 'user', content: 'How late is it?' },
        ],
      },
    ];
    for (const other of others) expect(question(other)?.rest).not.toBe(one?.rest);
  });

  it('is read from parts, whose pictures count exactly', () => {
    const parts = (text: string, url: string) => ({
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text },
            { type: 'image_url', image_url: { url } },
          ],
        },
      ],
    });
    expect(question(parts('What is this?', 'a'))?.text).toBe('What is this?');
    expect(question(parts('What is it?', 'a'))?.rest).toBe(question(parts('What is this?', 'a'))?.rest);
    expect(question(parts('What is this?', 'b'))?.rest).not.toBe(question(parts('What is this?', 'a'))?.rest);
    expect(question({ input: 'What is this?' }, 'openai-responses')?.text).toBe('What is this?');
  });

  it('is not there when nobody asked one last', () => {
    expect(question({ messages: [{ role: 'tool', content: '4' }] })).toBeNull();
    expect(question({ messages: [{ role: 'user', content: '  ' }] })).toBeNull();
    expect(question({ messages: [] })).toBeNull();
    expect(question({ input: 'text' }, 'openai-embeddings')).toBeNull();
  });
});

describe('a key', () => {
  it('is another for any other list of parts, also where the text put together is the same', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), fc.array(fc.string()), (one, other) => {
        expect(keyOf(one) === keyOf(other)).toBe(JSON.stringify(one) === JSON.stringify(other));
      }),
    );
    expect(keyOf(['ab', 'c'])).not.toBe(keyOf(['a', 'bc']));
  });
});

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => [name, sorted(member)]);
  // An object without members is no empty list.
  return { members };
}
