import Anthropic from '@anthropic-ai/sdk';
import { type Application, headersOf, type Setting, weather } from './application.ts';

const { name, description, schema: input_schema } = weather;

export function countingApplication(setting: Setting): Application {
  const client = new Anthropic({
    baseURL: setting.url,
    apiKey: setting.apiKey,
    maxRetries: 0,
    defaultHeaders: headersOf(setting),
  });

  async function count(model: string, more: Partial<Anthropic.MessageCountTokensParams>): Promise<void> {
    const { input_tokens } = await client.messages.countTokens({
      model,
      messages: [{ role: 'user', content: 'How is the weather in Oslo?' }],
      ...more,
    });
    if (!(input_tokens > 5)) throw new Error(`no count: ${input_tokens}`);
  }

  return {
    endpoint: '/v1/messages/count_tokens',
    client: '@anthropic-ai/sdk',
    badRequest: Anthropic.BadRequestError,
    limited: Anthropic.RateLimitError,
    does: {
      text: (model) => count(model, {}),
      'system and functions': (model) =>
        count(model, { system: 'Be brief.', tools: [{ name, description, input_schema }] }),
    },
  };
}
