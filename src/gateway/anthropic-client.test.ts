import Anthropic from '@anthropic-ai/sdk';
import { describe, expect, it } from 'vitest';
import { anthropicClientSuite, hello, kinds, weather } from '../../test/harness/anthropic-client.ts';
import { gathered, onlyRow } from '../../test/harness/model-path-suite.ts';
import { onePixel, weatherSchema } from '../../tools/simulator/testing.ts';

const { startOn, clientOf, lastCall, simulator } = anthropicClientSuite();

describe.each(Object.keys(kinds))(
  'the official Anthropic client, answered by a provider of kind %s',
  (kind) => {
    it('gets a message', async () => {
      const path = await startOn(kind);
      const { data, response } = await clientOf(path).messages.create(hello).withResponse();
      expect(data).toMatchObject({
        type: 'message',
        role: 'assistant',
        id: expect.stringMatching(/^msg_/),
        stop_reason: 'end_turn',
        stop_sequence: null,
        content: [{ type: 'text', text: expect.stringContaining('Hello there') }],
      });
      expect(response.headers.get('request-id')).toBeTruthy();
      expect(response.headers.get('x-gatehouse-generated-by')).toContain(`provider=${kind}`);
      const { input_tokens, output_tokens } = data.usage;
      expect(await onlyRow(path)).toMatchObject({
        ...{ status: 'ok', dialect: 'anthropic-messages', estimated: false },
        ...{ input_tokens, output_tokens, raw_usage: lastCall()?.usage },
      });
    });

    it('makes of a stream what it would have got in one piece', async () => {
      const path = await startOn(kind);
      const client = clientOf(path);
      const whole = await client.messages.create(hello);
      const pieces: string[] = [];
      const streamed = await client.messages
        .stream(hello)
        .on('text', (piece) => pieces.push(piece))
        .finalMessage();
      expect(streamed.content).toMatchObject(whole.content);
      expect(pieces.length).toBeGreaterThan(1);
      expect(streamed.stop_reason).toBe('end_turn');
      const { input_tokens, output_tokens } = whole.usage;
      expect(streamed.usage).toMatchObject({ input_tokens, output_tokens });
      const [, row] = await path.ledger();
      expect(row).toMatchObject({ streamed: true, estimated: false, input_tokens, output_tokens });
      expect(row?.first_token_ms).toBeTypeOf('number');
    });

    it('sees the events of the API in their order', async () => {
      const path = await startOn(kind);
      const events = await gathered(await clientOf(path).messages.create({ ...hello, stream: true }));
      const types = events.map(({ type }) => type).filter((type, n, all) => type !== all[n - 1]);
      expect(types).toEqual([
        'message_start',
        'content_block_start',
        'content_block_delta',
        'content_block_stop',
        'message_delta',
        'message_stop',
      ]);
    });

    it('calls tools in two rounds, in one piece and streamed', async () => {
      const path = await startOn(kind);
      const client = clientOf(path);
      const question = { role: 'user' as const, content: 'What is the weather in Lisbon?' };
      const request = { ...hello, messages: [question], tools: [weather] };
      for (const called of [
        await client.messages.create(request),
        await client.messages.stream(request).finalMessage(),
      ]) {
        expect(called.stop_reason).toBe('tool_use');
        const use = called.content.find((block) => block.type === 'tool_use');
        expect(use).toMatchObject({ name: 'get_weather', input: { city: 'Lisbon' } });
        const result = {
          type: 'tool_result' as const,
          tool_use_id: use?.id ?? '',
          content: [{ type: 'text' as const, text: '21 degrees and sunny' }],
        };
        const answered = await client.messages.create({
          ...request,
          messages: [
            question,
            { role: 'assistant', content: called.content as Anthropic.ContentBlockParam[] },
            { role: 'user', content: [result] },
          ],
        });
        expect(answered.stop_reason).toBe('end_turn');
        expect(answered.content.at(-1)).toMatchObject({
          text: expect.stringContaining('21 degrees and sunny'),
        });
      }
    });

    it('has a tool called that it names', async () => {
      const path = await startOn(kind);
      const named = await clientOf(path).messages.create({
        ...hello,
        tools: [weather, { ...weather, name: 'other' }],
        tool_choice: { type: 'tool', name: 'other' },
      });
      expect(named.content.at(-1)).toMatchObject({ type: 'tool_use', name: 'other' });
    });

    it('shows pictures', async () => {
      const path = await startOn(kind);
      const source = { type: 'base64' as const, media_type: 'image/png' as const, data: onePixel };
      const content = [
        { type: 'image' as const, source },
        { type: 'text' as const, text: 'What is this?' },
      ];
      const seen = await clientOf(path).messages.create({ ...hello, messages: [{ role: 'user', content }] });
      expect(seen.content).toMatchObject([{ type: 'text' }]);
      expect(lastCall()?.images).toBe(1);
      expect(lastCall()?.requestBody).toContain(onePixel);
    });

    it('gets JSON that fits a schema', async () => {
      const path = await startOn(kind);
      const json = await clientOf(path).messages.create({
        ...hello,
        output_config: { format: { type: 'json_schema', schema: weatherSchema } },
      });
      const [said] = json.content;
      expect(JSON.parse(said?.type === 'text' ? said.text : '')).toEqual({
        city: expect.any(String),
        days: expect.any(Number),
      });
    });

    it('is told that an answer was cut short', async () => {
      const path = await startOn(kind);
      const client = clientOf(path);
      const cut = { stop_reason: 'max_tokens', usage: { output_tokens: 5 } };
      expect(await client.messages.create({ ...hello, max_tokens: 5 })).toMatchObject(cut);
      expect(await client.messages.stream({ ...hello, max_tokens: 5 }).finalMessage()).toMatchObject(cut);
    });

    it('counts tokens before it asks', async () => {
      const path = await startOn(kind);
      const { max_tokens: _, ...counted } = hello;
      const { input_tokens: tokens } = await clientOf(path).messages.countTokens({
        ...counted,
        tools: [weather],
      });
      expect(tokens).toBeGreaterThan(20);
      expect(await onlyRow(path)).toMatchObject({
        ...{ status: 'ok', operation: 'count_tokens', dialect: 'anthropic-count-tokens', estimated: false },
        ...{ input_tokens: 0, output_tokens: 0, pricing_state: 'free', cost_nano_usd: '0' },
      });
    });

    it('knows refusals by their classes', async () => {
      const path = await startOn(kind);
      const client = clientOf(path);
      simulator.setFault({ kind: 'rate-limited', retryAfterS: 120 });
      const limited = await client.messages.create(hello).catch((error: unknown) => error);
      expect(limited).toBeInstanceOf(Anthropic.RateLimitError);
      expect(limited).toMatchObject({ type: 'rate_limit_error' });
      // Gemini says it in the body.
      const { headers } = limited as InstanceType<typeof Anthropic.RateLimitError>;
      if (kind !== 'gemini') expect(headers?.get('retry-after')).toBe('120');
    });

    it('is told of an error in the middle of a stream', async () => {
      const path = await startOn(kind);
      simulator.setFault({ kind: 'cut-mid-stream' });
      const stream = clientOf(path).messages.stream(hello);
      const error = await stream.finalMessage().catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(Anthropic.APIError);
      expect(error).toMatchObject({ type: 'api_error', message: expect.stringContaining(kind) });
      const [row] = await path.ledger();
      expect(row).toMatchObject({ status: 'error', error_code: 'upstream_failed', estimated: true });
      expect(Number(row?.output_tokens)).toBeGreaterThan(0);
    });
  },
);

describe.each(['bedrock', 'gemini'])('what a model of kind %s thought', (kind) => {
  it('is shown in Anthropic’s blocks, and goes back to it in the second round', async () => {
    const path = await startOn(kind);
    const client = clientOf(path);
    const question = { role: 'user' as const, content: 'What is the weather in Lisbon?' };
    const request = {
      ...hello,
      messages: [question],
      tools: [weather],
      thinking: { type: 'enabled' as const, budget_tokens: 2_048 },
    };
    for (const first of [
      await client.messages.create(request),
      await client.messages.stream(request).finalMessage(),
    ]) {
      const thought = first.content.find((block) => block.type === 'thinking');
      expect(thought?.thinking).toBeTruthy();
      const use = first.content.find((block) => block.type === 'tool_use');
      const result = { type: 'tool_result' as const, tool_use_id: use?.id ?? '', content: 'Sun.' };
      await client.messages.create({
        ...request,
        messages: [
          question,
          { role: 'assistant', content: first.content as Anthropic.ContentBlockParam[] },
          { role: 'user', content: [result] },
        ],
      });
      // Bedrock signs the thoughts, Gemini the call.
      const signatures = first.content
        .map((block) => (block.type === 'thinking' ? block.signature : 'data' in block ? block.data : ''))
        .map((carried) => carried.replace(/^gatehouse\.(?:unsigned|.*\.)/, ''))
        .filter((signature) => signature !== '');
      expect(signatures).toHaveLength(1);
      expect(lastCall()?.requestBody).toContain(signatures[0]);
      expect(lastCall()?.requestBody).not.toContain('gatehouse.');
    }
  });
});
