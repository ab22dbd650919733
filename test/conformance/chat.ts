import OpenAI from 'openai';
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

const { name, description, schema: parameters } = weather;
const tools: OpenAI.ChatCompletionTool[] = [
  { type: 'function', function: { name, description, parameters } },
];
const response_format = {
  type: 'json_schema' as const,
  json_schema: { name: 'trip', strict: true, schema: trip },
};

export function chatApplication(setting: Setting): Application {
  const client = new OpenAI({
    baseURL: `${setting.url}/v1`,
    apiKey: setting.apiKey,
    maxRetries: 0,
    defaultHeaders: headersOf(setting),
  });
  const asked = (model: string, content: OpenAI.ChatCompletionUserMessageParam['content']) => ({
    model,
    messages: [{ role: 'user' as const, content }],
  });

  return {
    endpoint: '/v1/chat/completions',
    client: 'openai',
    badRequest: OpenAI.BadRequestError,
    limited: OpenAI.RateLimitError,
    does: {
      async text(model) {
        const { choices, usage } = await client.chat.completions.create(asked(model, 'Tell me about gates.'));
        expectAnswer(choices[0]?.message.content);
        expectUsage(setting, usage?.prompt_tokens, usage?.completion_tokens);
      },
      async stream(model) {
        const streamed = client.chat.completions.stream({
          ...asked(model, 'Tell me about houses.'),
          stream_options: { include_usage: true },
        });
        const { choices, usage } = await streamed.finalChatCompletion();
        expectAnswer(choices[0]?.message.content);
        expectUsage(setting, usage?.prompt_tokens, usage?.completion_tokens);
      },
      async tools(model) {
        const first = { ...asked(model, 'How is the weather in Oslo?'), tools };
        const { choices } = await client.chat.completions.create(first);
        const message = choices[0]?.message;
        const call = message?.tool_calls?.[0];
        if (!message || call?.type !== 'function' || call.function.name !== name) throw new Error('no call');
        const result = { role: 'tool' as const, tool_call_id: call.id, content: '{"sky":"clear"}' };
        const messages = [...first.messages, message, result];
        const answered = await client.chat.completions.create({ ...first, messages });
        expectAnswer(answered.choices[0]?.message.content);
      },
      async 'tools, streamed'(model) {
        const first = { ...asked(model, 'How is the weather in Bergen?'), tools };
        const { choices } = await client.chat.completions.stream(first).finalChatCompletion();
        const message = choices[0]?.message;
        const call = message?.tool_calls?.[0];
        if (!message || call?.type !== 'function' || call.function.name !== name) throw new Error('no call');
        const result = { role: 'tool' as const, tool_call_id: call.id, content: '{"sky":"clear"}' };
        const messages = [...first.messages, message, result];
        const answered = await client.chat.completions.stream({ ...first, messages }).finalChatCompletion();
        expectAnswer(answered.choices[0]?.message.content);
      },
      async 'thoughts and tools'(model) {
        const first = {
          ...asked(model, 'How is the weather in Tromsø?'),
          tools,
          reasoning_effort: 'low' as const,
        };
        const { choices } = await client.chat.completions.create(first);
        const message = choices[0]?.message;
        const call = message?.tool_calls?.[0];
        if (!message || call?.type !== 'function' || call.function.name !== name) throw new Error('no call');
        const result = { role: 'tool' as const, tool_call_id: call.id, content: '{"sky":"clear"}' };
        const messages = [...first.messages, message, result];
        const answered = await client.chat.completions.create({ ...first, messages });
        expectAnswer(answered.choices[0]?.message.content);
      },
      async image(model) {
        const image_url = { url: `data:image/png;base64,${onePixel}` };
        const content = [
          { type: 'text' as const, text: 'What is this?' },
          { type: 'image_url' as const, image_url },
        ];
        const { choices } = await client.chat.completions.create(asked(model, content));
        expectAnswer(choices[0]?.message.content);
      },
      async 'JSON schema'(model) {
        const parsed = await client.chat.completions.parse({
          ...asked(model, 'Plan a trip.'),
          response_format,
        });
        expectTrip(parsed.choices[0]?.message.parsed ?? JSON.parse(parsed.choices[0]?.message.content ?? ''));
      },
      async 'long context'(model) {
        await client.chat.completions.create(asked(model, longText));
      },
      async 'rate limit'(model) {
        await client.chat.completions.create(asked(model, 'Hello.'));
      },
    },
  };
}
