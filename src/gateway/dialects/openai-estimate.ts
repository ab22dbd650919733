import { estimateTokens } from '../../costs/index.ts';
import { type PictureCounter, pictureAt } from '../usage/image-tokens.ts';

/** What the chat format adds around each message, by OpenAI's cookbook on counting tokens. */
export const tokensPerMessage = 3;

type Json = Readonly<Record<string, unknown>>;

/** Tokens of a chat request by our own estimate: texts, tool definitions and pictures, never the bytes of a picture. */
export function estimateChatInput(request: Json, countPicture: PictureCounter): number {
  const messages = Array.isArray(request.messages) ? request.messages : [];
  const ofMessages = messages.reduce(
    (total: number, message: unknown) => total + ofMessage(message, countPicture),
    0,
  );
  const tools = request.tools === undefined ? 0 : estimateTokens(JSON.stringify(request.tools));
  return ofMessages + tools;
}

/** Tokens of what a chat reply says: contents, reasoning and the arguments of tool calls. */
export function estimateChatOutput(reply: Json): number {
  const choices = Array.isArray(reply.choices) ? reply.choices : [];
  return choices.reduce((total: number, choice: unknown) => {
    const message = isRecord(choice) ? choice.message : undefined;
    if (!isRecord(message)) return total;
    const texts = [message.content, message.reasoning_content, message.refusal];
    const spoken = texts.map((text) => (typeof text === 'string' ? text : '')).join('');
    const tools = message.tool_calls === undefined ? '' : JSON.stringify(message.tool_calls);
    return total + estimateTokens(spoken + tools);
  }, 0);
}

/** Tokens of an embeddings request: texts are estimated, token ids are counted. */
export function estimateEmbeddingsInput(request: Json): number {
  const { input } = request;
  if (typeof input === 'string') return estimateTokens(input);
  if (!Array.isArray(input)) return 0;
  return input.reduce((total: number, item: unknown) => {
    if (typeof item === 'string') return total + estimateTokens(item);
    return total + (Array.isArray(item) ? item.length : 1);
  }, 0);
}

function ofMessage(message: unknown, countPicture: PictureCounter): number {
  if (!isRecord(message)) return 0;
  const { content } = message;
  const tools = message.tool_calls === undefined ? 0 : estimateTokens(JSON.stringify(message.tool_calls));
  if (typeof content === 'string') return tokensPerMessage + tools + estimateTokens(content);
  if (!Array.isArray(content)) return tokensPerMessage + tools;
  return content.reduce(
    (total: number, part: unknown) => total + ofPart(part, countPicture),
    tokensPerMessage + tools,
  );
}

function ofPart(part: unknown, countPicture: PictureCounter): number {
  if (!isRecord(part)) return 0;
  if (typeof part.text === 'string') return estimateTokens(part.text);
  if (part.type !== 'image_url') return 0;
  const { image_url: given } = part;
  return countPicture(isRecord(given) ? pictureAt(given.url, given.detail) : pictureAt(given));
}

function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
