import { estimateTokens } from '../../costs/index.ts';
import type { JsonObject } from '../json-object.ts';
import { recordOf } from '../usage/token-counts.ts';

/**
 * Tokens of a picture: width × height / 750, up to 1.15 megapixels
 * (https://platform.claude.com/docs/en/build-with-claude/vision). Its size is not known here, so the most it can be.
 */
const imageTokens = 1_568;
/**
 * Tokens of a page of a PDF: 1,500 to 3,000 of text, and the page as a picture
 * (https://platform.claude.com/docs/en/build-with-claude/pdf-support). Dense pages take some 50 KB.
 */
const pageTokens = 3_000;
const pageBytes = 50_000;
/** What a message's role and a block's frame come to. */
const tokensPerMessage = 4;

/** Tokens of a messages request by our own estimate: texts, tools and files, never the bytes of a picture. */
export function estimateMessagesInput(request: JsonObject): number {
  const tools = request.tools === undefined ? 0 : estimateTokens(JSON.stringify(request.tools));
  const format = recordOf(request.output_config).format;
  const schema = format === undefined ? 0 : estimateTokens(JSON.stringify(format));
  const messages = Array.isArray(request.messages) ? request.messages : [];
  return messages.reduce(
    (total: number, message: unknown) => total + tokensPerMessage + ofContent(recordOf(message).content),
    ofContent(request.system) + tools + schema,
  );
}

/** Tokens of what a message says: texts, thoughts and the inputs of tools. */
export function estimateMessageOutput(reply: JsonObject): number {
  return ofContent(reply.content);
}

function ofContent(content: unknown): number {
  if (typeof content === 'string') return estimateTokens(content);
  if (!Array.isArray(content)) return 0;
  return content.reduce((total: number, block: unknown) => total + ofBlock(recordOf(block)), 0);
}

function ofBlock(block: JsonObject): number {
  switch (block.type) {
    case 'image':
      return imageTokens;
    case 'document':
      return ofDocument(block);
    case 'thinking':
      return textTokens(block.thinking);
    case 'tool_use':
    case 'server_tool_use':
      return textTokens(block.name) + estimateTokens(JSON.stringify(block.input ?? {}));
    default:
      return textTokens(block.text) + ofContent(block.content);
  }
}

function ofDocument({ source, title, context }: JsonObject): number {
  const { type, data, content } = recordOf(source);
  const around = textTokens(title) + textTokens(context);
  if (type === 'text') return around + textTokens(data);
  if (type === 'content') return around + ofContent(content);
  // Four characters of base64 are three bytes; of an address nothing is known but that it has a page.
  const bytes = type === 'base64' && typeof data === 'string' ? data.length * 0.75 : 0;
  return around + pageTokens * Math.max(1, Math.ceil(bytes / pageBytes));
}

function textTokens(text: unknown): number {
  return typeof text === 'string' ? estimateTokens(text) : 0;
}
