import { expect, test } from 'vitest';
import { onePixel } from '../testing.ts';
import { parseChatRequest } from './chat-request.ts';

const image = { type: 'image_url', image_url: { url: `data:image/png;base64,${onePixel}` } };
/** 48,000 bytes: a second of 24 kHz, 16 bits, one channel. */
const audio = { type: 'input_audio', input_audio: { data: 'AAAA'.repeat(16_000), format: 'wav' } };

test('images and audio are part of the prompt and counted apart', () => {
  const plain = parseChatRequest({ model: 'sim', messages: [{ role: 'user', content: 'Hello' }] }).prompt;
  const content = [{ type: 'text', text: 'Hello' }, image, image, audio];
  const { prompt } = parseChatRequest({ model: 'sim', messages: [{ role: 'user', content }] });
  expect(prompt).toEqual({ all: plain.all + 2 * 85 + 10, image: 170, audio: 10, images: 2 });
});

test('tool messages and tool calls must belong together', () => {
  const call = { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{}' } };
  const asking = { role: 'assistant', content: null, tool_calls: [call] };
  const result = (id: string) => ({ role: 'tool', tool_call_id: id, content: 'done' });
  const parse = (messages: object[]) => parseChatRequest({ model: 'sim', messages });
  expect(parse([asking, result('call_1')]).toolResults).toEqual(['call_1']);
  for (const messages of [
    [result('call_1')],
    [asking, result('call_2')],
    [asking, { role: 'user', content: 'And?' }],
    [asking],
  ]) {
    expect(() => parse(messages)).toThrow(/answer/u);
  }
});
