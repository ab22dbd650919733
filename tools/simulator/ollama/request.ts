import type { Tool, Turn } from '../answers.ts';
import { imageSize } from '../images.ts';
import type { JsonSchema } from '../json-samples.ts';
import type { ModelCall } from '../model-call.ts';
import { invalidRequest } from '../provider-error.ts';
import {
  optionalBoolean,
  optionalList,
  optionalRecord,
  optionalText,
  requiredList,
  requiredRecord,
  requiredText,
  stopTexts,
} from '../read-json.ts';
import { countTokens } from '../tokens.ts';

const tokensPerMessage = 3;
/** An image counts the same here whatever its size. */
const tokensPerImage = 256;
const roles = new Set(['system', 'user', 'assistant', 'tool']);

/** Reads the body of `POST /api/chat`, which is streamed unless it says otherwise. Throws ProviderError. */
export function parseOllamaChat(body: Record<string, unknown>): ModelCall {
  const model = requiredText(body.model, 'model');
  if (model === '') throw invalidRequest('model is required', 'model');
  const messages = requiredList(body.messages, 'messages').map((message, index) =>
    readMessage(message, `messages[${index}]`),
  );
  const options = optionalRecord(body.options, 'options') ?? {};
  const tools = readTools(body.tools);
  const turns = messages.map(({ turn }) => turn);
  const thinks = body.think === true || typeof body.think === 'string';
  const toolTokens = body.tools === undefined ? 0 : countTokens(JSON.stringify(body.tools));
  const images = messages.reduce((total, message) => total + message.images, 0);
  return {
    model,
    turns,
    stream: body.stream === undefined || optionalBoolean(body.stream, 'stream'),
    maxTokens: readLimit(options.num_predict),
    stop: stopTexts(typeof options.stop === 'string' ? [options.stop] : options.stop, 'options.stop', 64),
    tools,
    callTool: turns.at(-1)?.role === 'user' ? tools[0] : undefined,
    jsonSchema: readFormat(body.format),
    thinkingBudget: thinks ? Number.POSITIVE_INFINITY : 0,
    tellThoughts: thinks,
    prompt: {
      all: messages.reduce((total, message) => total + message.tokens, toolTokens),
      image: images * tokensPerImage,
      audio: 0,
      images,
    },
    toolResults: messages.flatMap(({ answers }) => answers ?? []),
  };
}

function readMessage(given: unknown, param: string) {
  const message = requiredRecord(given, param);
  const role = requiredText(message.role, `${param}.role`);
  if (!roles.has(role)) throw invalidRequest(`invalid role: ${role}`, `${param}.role`);
  const text = optionalText(message.content, `${param}.content`) ?? '';
  const images = optionalList(message.images, `${param}.images`);
  images.forEach((image, index) => {
    imageSize(image, `${param}.images[${index}]`);
  });
  const called = message.tool_calls === undefined ? 0 : countTokens(JSON.stringify(message.tool_calls));
  const turn: Turn = { role: role as Turn['role'], text };
  // A tool's message names the call it answers or, in older clients, only the tool.
  const answers = optionalText(message.tool_call_id ?? message.tool_name, `${param}.tool_name`);
  const tokens = tokensPerMessage + countTokens(text) + called + images.length * tokensPerImage;
  return { turn, tokens, images: images.length, answers: role === 'tool' ? (answers ?? '') : undefined };
}

function readTools(given: unknown): Tool[] {
  return optionalList(given, 'tools').map((item, index) => {
    const param = `tools[${index}].function`;
    const tool = requiredRecord(requiredRecord(item, `tools[${index}]`).function, param);
    const parameters = optionalRecord(tool.parameters, `${param}.parameters`);
    return {
      name: requiredText(tool.name, `${param}.name`),
      parameters: parameters ?? { type: 'object', properties: {} },
    };
  });
}

/** Below zero there is no limit. */
function readLimit(given: unknown): number | undefined {
  return typeof given === 'number' && given > 0 ? given : undefined;
}

function readFormat(given: unknown): JsonSchema | undefined {
  if (given === undefined || given === null || given === '') return undefined;
  if (given === 'json') return { type: 'object', properties: { answer: { type: 'string' } } };
  return requiredRecord(given, 'format');
}
