import Anthropic from '@anthropic-ai/sdk';
import { jsonSchemaOutputFormat } from '@anthropic-ai/sdk/helpers/json-schema';
import { onePixel } from '../../tools/simulator/testing.ts';
import {
  type Application,
  expectAnswer,
  expectTrip,
  expectUsage,
  headersOf,
  longText,
  type Setting,
  trip,
  weather,
} from './application.ts';

const { name, description, schema: input_schema } = weather;
const tools: Anthropic.Tool[] = [{ name, description, input_schema }];

export function messagesApplication(setting: Setting): Application {
  const client = new Anthropic({
    baseURL: setting.url,
    apiKey: setting.apiKey,
    maxRetries: 0,
    defaultHeaders: headersOf(setting),
  });
  const asked = (model: string, content: Anthropic.MessageParam['content']) => ({
    model,
    max_tokens: 2_000,
    messages: [{ role: 'user' as const, content }],
  });

  return {
    endpoint: '/v1/messages',
    client: '@anthropic-ai/sdk',
    badRequest: Anthropic.BadRequestError,
    limited: Anthropic.RateLimitError,
    does: {
      async text(model) {
        const { content, usage } = await client.messages.create(asked(model, 'Tell me about gates.'));
        expectAnswer(textOf(content));
        expectUsage(setting, usage.input_tokens, usage.output_tokens);
      },
      async stream(model) {
        const { content, usage } = await client.messages
          .stream(asked(model, 'Tell me about houses.'))
          .finalMessage();
        expectAnswer(textOf(content));
        expectUsage(setting, usage.input_tokens, usage.output_tokens);
      },
      async tools(model) {
        const first = { ...asked(model, 'How is the weather in Oslo?'), tools };
        const { content } = await client.messages.create(first);
        const call = content.find((block) => block.type === 'tool_use');
        if (call?.name !== name) throw new Error('no call');
        const result = { type: 'tool_result' as const, tool_use_id: call.id, content: '{"sky":"clear"}' };
        const messages: Anthropic.MessageParam[] = [
          ...first.messages,
          { role: 'assistant', content },
          { role: 'user', content: [result] },
        ];
        expectAnswer(textOf((await client.messages.create({ ...first, messages })).content));
      },
      async 'tools, streamed'(model) {
        const first = { ...asked(model, 'How is the weather in Bergen?'), tools };
        const { content } = await client.messages.stream(first).finalMessage();
        const call = content.find((block) => block.type === 'tool_use');
        if (call?.name !== name) throw new Error('no call');
        const result = { type: 'tool_result' as const, tool_use_id: call.id, content: '{"sky":"clear"}' };
        const messages: Anthropic.MessageParam[] = [
          ...first.messages,
          { role: 'assistant', content },
          { role: 'user', content: [result] },
        ];
        expectAnswer(textOf((await client.messages.stream({ ...first, messages }).finalMessage()).content));
      },
      async 'thoughts and tools'(model) {
        const first = {
          ...asked(model, 'How is the weather in Tromsø?'),
          tools,
          thinking: { type: 'enabled' as const, budget_tokens: 1_024 },
        };
        const { content } = await client.messages.create(first);
        const call = content.find((block) => block.type === 'tool_use');
        if (call?.name !== name) throw new Error('no call');
        const result = { type: 'tool_result' as const, tool_use_id: call.id, content: '{"sky":"clear"}' };
        const messages: Anthropic.MessageParam[] = [
          ...first.messages,
          { role: 'assistant', content },
          { role: 'user', content: [result] },
        ];
        expectAnswer(textOf((await client.messages.create({ ...first, messages })).content));
      },
      async image(model) {
        const source = { type: 'base64' as const, media_type: 'image/png' as const, data: onePixel };
        const content: Anthropic.ContentBlockParam[] = [
          { type: 'text', text: 'What is this?' },
          { type: 'image', source },
        ];
        expectAnswer(textOf((await client.messages.create(asked(model, content))).content));
      },
      async 'JSON schema'(model) {
        const output_config = { format: jsonSchemaOutputFormat(trip) };
        const message = await client.messages.parse({ ...asked(model, 'Plan a trip.'), output_config });
        expectTrip(message.parsed_output);
      },
      async 'long context'(model) {
        await client.messages.create(asked(model, longText));
      },
      async 'rate limit'(model) {
        await client.messages.create(asked(model, 'Hello.'));
      },
    },
  };
}

function textOf(content: readonly Anthropic.ContentBlock[]): string {
  return content.map((block) => (block.type === 'text' ? block.text : '')).join('');
}
