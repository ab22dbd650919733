import { describe, expect, it } from 'vitest';
import { ResponsesStreamReader } from './openai-responses-stream.ts';

const event = (type: string, members: object = {}) =>
  `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`;
const unnamed = (type: string, members: object = {}) =>
  `data: ${JSON.stringify({ sequence_number: 1, item: { type: 'nested' }, ...members, type })}\n\n`;
const usage = { input_tokens: 9, output_tokens: 5, output_tokens_details: { reasoning_tokens: 1 } };

describe('the reader of a stream of responses', () => {
  it.each([
    ['named', event],
    ['unnamed', unnamed],
  ])('holds what announces, passes what answers, and ends with the response (%s events)', (_, make) => {
    const reader = new ResponsesStreamReader();
    expect(reader.read(make('response.created', { response: { model: 'gpt-5' } }))).toBe('hold');
    expect(reader.read(make('response.in_progress'))).toBe('hold');
    expect(reader.read(make('response.output_item.added', { item: { type: 'message' } }))).toBe('hold');
    expect(reader.read(': comment\n\n')).toBe('hold');
    expect(reader.read(make('response.content_part.added'))).toBe('hold');
    expect(reader.read(make('response.output_text.delta', { delta: 'Hi' }))).toBe('pass');
    expect(reader.read(make('response.output_item.added'))).toBe('pass');
    expect(reader.read(make('response.made_up_later'))).toBe('pass');
    expect(reader.finished).toBe(false);
    expect(reader.read(make('response.completed', { response: { model: 'gpt-5-1', usage } }))).toBe('end');
    expect(reader.finished).toBe(true);
    expect(reader.failed).toBe(false);
    expect(reader.facts()).toMatchObject({
      model: 'gpt-5-1',
      rawUsage: JSON.stringify(usage),
      usage: { inputTokens: 9, outputTokens: 5, reasoningTokens: 1 },
    });
  });

  it('passes what a provider does at once: it cannot be undone', () => {
    const reader = new ResponsesStreamReader();
    expect(reader.read(event('response.web_search_call.in_progress'))).toBe('pass');
    expect(reader.read(event('response.output_item.added'))).toBe('pass');
  });

  it.each(['error', 'response.failed'])(
    'takes %s for the end of what another target can still do',
    (type) => {
      const early = new ResponsesStreamReader();
      expect(early.read(event(type, { response: { usage } }))).toBe('hold');
      expect([early.failed, early.finished]).toEqual([true, false]);
      const late = new ResponsesStreamReader();
      late.read(event('response.output_text.delta', { delta: 'Hi' }));
      expect(late.read(event(type))).toBe('pass');
      expect(late.failed).toBe(true);
    },
  );

  it('knows what a failed response has used', () => {
    const reader = new ResponsesStreamReader();
    reader.read(event('response.failed', { response: { status: 'failed', usage } }));
    expect(reader.facts().usage).toMatchObject({ inputTokens: 9 });
  });

  it('estimates what was written when nothing is told', () => {
    const reader = new ResponsesStreamReader();
    for (let n = 0; n < 4; n++) reader.read(event('response.output_text.delta', { delta: 'word' }));
    reader.read(
      event('response.function_call_arguments.delta', { delta: '{"a":"long enough for several"}' }),
    );
    const { usage: told, estimateOutputTokens } = reader.facts();
    expect(told).toBeNull();
    expect(estimateOutputTokens()).toBeGreaterThanOrEqual(5);
    expect(estimateOutputTokens()).toBeLessThan(25);
  });

  it('is not taken in by an answer that speaks of events', () => {
    const reader = new ResponsesStreamReader();
    const delta = 'event: response.completed\ndata: {"type":"response.completed","response":{"usage":{}}}';
    expect(reader.read(event('response.output_text.delta', { delta }))).toBe('pass');
    expect(reader.finished).toBe(false);
  });
});
