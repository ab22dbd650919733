import { estimateTokens } from '../../costs/index.ts';
import type { JsonObject } from '../json-object.ts';
import { imageSizeOfBase64 } from '../usage/image-size.ts';
import { estimateImageTokens, type Picture, type PictureCounter } from '../usage/image-tokens.ts';
import { recordOf } from '../usage/token-counts.ts';

/**
 * Tokens of a page of a PDF: 1,500 to 3,000 of text, and the page as a picture
 * (https://platform.claude.com/docs/en/build-with-claude/pdf-support). Dense pages take some 50 KB.
 */
const pageTokens = 3_000;
const pageBytes = 50_000;
/** What a message's role and a block's frame come to. */
const tokensPerMessage = 4;

/** Tokens of a messages request by our own estimate: texts, tools and files, never the bytes of a picture. */
export function estimateMessagesInput(
  request: JsonObject,
  countPicture: PictureCounter = countForClaude,
): number {
  const tools = request.tools === undefined ? 0 : estimateTokens(JSON.stringify(request.tools));
  const format = recordOf(request.output_config).format;
  const schema = format === undefined ? 0 : estimateTokens(JSON.stringify(format));
  const messages = Array.isArray(request.messages) ? request.messages : [];
  return messages.reduce(
    (total: number, message: unknown) =>
      total + tokensPerMessage + ofContent(recordOf(message).content, countPicture),
    ofContent(request.system, countPicture) + tools + schema,
  );
}

/** Tokens of what a message says: texts, thoughts and the inputs of tools. */
export function estimateMessageOutput(reply: JsonObject): number {
  return ofContent(reply.content, countForClaude);
}

const countForClaude: PictureCounter = (picture) => estimateImageTokens(picture, 'anthropic', '');

function ofContent(content: unknown, countPicture: PictureCounter): number {
  if (typeof content === 'string') return estimateTokens(content);
  if (!Array.isArray(content)) return 0;
  return content.reduce((total: number, block: unknown) => total + ofBlock(recordOf(block), countPicture), 0);
}

function ofBlock(block: JsonObject, countPicture: PictureCounter): number {
  switch (block.type) {
    case 'image':
      return countPicture(pictureIn(recordOf(block.source)));
    case 'document':
      return ofDocument(block, countPicture);
    case 'thinking':
      return textTokens(block.thinking);
    case 'tool_use':
    case 'server_tool_use':
      return textTokens(block.name) + estimateTokens(JSON.stringify(block.input ?? {}));
    default:
      return textTokens(block.text) + ofContent(block.content, countPicture);
  }
}

function pictureIn({ data }: JsonObject): Picture {
  return { size: typeof data === 'string' ? imageSizeOfBase64(data) : null };
}

function ofDocument({ source, title, context }: JsonObject, countPicture: PictureCounter): number {
  const { type, data, content } = recordOf(source);
  const around = textTokens(title) + textTokens(context);
  if (type === 'text') return around + textTokens(data);
  if (type === 'content') return around + ofContent(content, countPicture);
  // Four characters of base64 are three bytes; of an address nothing is known but that it has a page.
  const bytes = type === 'base64' && typeof data === 'string' ? data.length * 0.75 : 0;
  return around + pageTokens * Math.max(1, Math.ceil(bytes / pageBytes));
}

function textTokens(text: unknown): number {
  return typeof text === 'string' ? estimateTokens(text) : 0;
}
