import OpenAI from 'openai';
import { type Application, headersOf, longText, type Setting } from './application.ts';

export function embeddingsApplication(setting: Setting): Application {
  const client = new OpenAI({
    baseURL: `${setting.url}/v1`,
    apiKey: setting.apiKey,
    maxRetries: 0,
    defaultHeaders: headersOf(setting),
  });

  async function embed(model: string, texts: readonly string[], encoding_format: 'float' | 'base64') {
    const { data } = await client.embeddings.create({ model, input: [...texts], encoding_format });
    const lengths = new Set(data.map(({ embedding }) => embedding.length));
    const [length = 0] = lengths;
    if (data.length !== texts.length || lengths.size !== 1 || length === 0) throw new Error('no vectors');
  }

  return {
    endpoint: '/v1/embeddings',
    client: 'openai',
    badRequest: OpenAI.BadRequestError,
    limited: OpenAI.RateLimitError,
    does: {
      'one text': (model) => embed(model, ['A gate'], 'float'),
      'several texts': (model) => embed(model, ['A gate', 'A house', 'A street'], 'float'),
      base64: (model) => embed(model, ['A gate'], 'base64'),
      'long context': (model) => embed(model, [longText], 'float'),
      'rate limit': (model) => embed(model, ['A gate'], 'float'),
    },
  };
}
