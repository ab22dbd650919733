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
const tools: OpenAI.Responses.Tool[] = [{ type: 'function', name, description, parameters, strict: false }];
const text = { format: { type: 'json_schema' as const, name: 'trip', strict: true, schema: trip } };

export function responsesApplication(setting: Setting): Application {
  const client = new OpenAI({
    baseURL: `${setting.url}/v1`,
    apiKey: setting.apiKey,
    maxRetries: 0,
    defaultHeaders: headersOf(setting),
  });
  const asked = (model: string, input: OpenAI.Responses.ResponseInput | string) => ({
    model,
    input,
    store: false,
  });

  return {
    endpoint: '/v1/responses',
    client: 'openai',
    badRequest: OpenAI.BadRequestError,
    limited: OpenAI.RateLimitError,
    does: {
      async text(model) {
        const { output_text, usage } = await client.responses.create(asked(model, 'Tell me about gates.'));
        expectAnswer(output_text);
        expectUsage(setting, usage?.input_tokens, usage?.output_tokens);
      },
      async stream(model) {
        const streamed = client.responses.stream(asked(model, 'Tell me about houses.'));
        const { output_text, usage, status } = await streamed.finalResponse();
        if (status !== 'completed') throw new Error(`the response is ${status}`);
        expectAnswer(output_text);
        expectUsage(setting, usage?.input_tokens, usage?.output_tokens);
      },
      async tools(model) {
        const input: OpenAI.Responses.ResponseInput = [
          { role: 'user', content: 'How is the weather in Oslo?' },
        ];
        const { output } = await client.responses.create({ ...asked(model, input), tools });
        const call = output.find((item) => item.type === 'function_call');
        if (call?.type !== 'function_call' || call.name !== name) throw new Error('no call');
        const result = {
          type: 'function_call_output' as const,
          call_id: call.call_id,
          output: '{"sky":"clear"}',
        };
        const round = [...input, ...(output as OpenAI.Responses.ResponseInput), result];
        const answered = await client.responses.create({ ...asked(model, round), tools });
        expectAnswer(answered.output_text);
      },
      async 'tools, streamed'(model) {
        const input: OpenAI.Responses.ResponseInput = [
          { role: 'user', content: 'How is the weather in Bergen?' },
        ];
        const { output } = await client.responses.stream({ ...asked(model, input), tools }).finalResponse();
        const call = output.find((item) => item.type === 'function_call');
        if (call?.type !== 'function_call' || call.name !== name) throw new Error('no call');
        const result = {
          type: 'function_call_output' as const,
          call_id: call.call_id,
          output: '{"sky":"clear"}',
        };
        const round = [...input, ...(output as OpenAI.Responses.ResponseInput), result];
        const answered = client.responses.stream({ ...asked(model, round), tools });
        expectAnswer((await answered.finalResponse()).output_text);
      },
      async 'thoughts and tools'(model) {
        const input: OpenAI.Responses.ResponseInput = [
          { role: 'user', content: 'How is the weather in Tromsø?' },
        ];
        const thinking = {
          tools,
          reasoning: { effort: 'low' as const },
          include: ['reasoning.encrypted_content' as const],
        };
        const { output } = await client.responses.create({ ...asked(model, input), ...thinking });
        const call = output.find((item) => item.type === 'function_call');
        if (call?.type !== 'function_call' || call.name !== name) throw new Error('no call');
        const result = {
          type: 'function_call_output' as const,
          call_id: call.call_id,
          output: '{"sky":"clear"}',
        };
        const round = [...input, ...(output as OpenAI.Responses.ResponseInput), result];
        const answered = await client.responses.create({ ...asked(model, round), ...thinking });
        expectAnswer(answered.output_text);
      },
      async image(model) {
        const content: OpenAI.Responses.ResponseInputMessageContentList = [
          { type: 'input_text', text: 'What is this?' },
          { type: 'input_image', detail: 'auto', image_url: `data:image/png;base64,${onePixel}` },
        ];
        expectAnswer((await client.responses.create(asked(model, [{ role: 'user', content }]))).output_text);
      },
      async 'JSON schema'(model) {
        const response = await client.responses.parse({ ...asked(model, 'Plan a trip.'), text });
        expectTrip(response.output_parsed ?? JSON.parse(response.output_text));
      },
      async 'long context'(model) {
        await client.responses.create(asked(model, longText));
      },
      async 'rate limit'(model) {
        await client.responses.create(asked(model, 'Hello.'));
      },
    },
  };
}
