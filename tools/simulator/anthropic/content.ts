import { imageSize } from '../images.ts';
import type { PromptPart } from '../prompt-cache.ts';
import { invalidRequest } from '../provider-error.ts';
import { optionalRecord, requiredList, requiredRecord, requiredText } from '../read-json.ts';
import { countTokens } from '../tokens.ts';
import { signatureOf } from './signature.ts';

/** What one content block says and counts. */
export interface Block {
  readonly type: string;
  readonly text: string;
  readonly tokens: number;
  readonly imageTokens: number;
  readonly images: number;
  /** The id of a tool use or of the tool use a result answers. */
  readonly toolId: string | undefined;
  readonly part: PromptPart;
}

/** An image whose size cannot be read counts like one of 1,092 pixels square. */
const defaultImageTokens = 1_590;
const maxImageTokens = 4_784;
const pixelsPerToken = 750;

/** Reads a message's or a tool result's content. Throws ProviderError naming the block that is not right. */
export function readContent(content: unknown, param: string): Block[] {
  if (typeof content === 'string') return [readBlock({ type: 'text', text: content }, param)];
  return requiredList(content, param).map((block, index) => readBlock(block, `${param}.${index}`));
}

export function readBlock(given: unknown, param: string): Block {
  const block = requiredRecord(given, param);
  const type = requiredText(block.type, `${param}.type`);
  const said = sayingOf(block, type, param);
  const { cache_control: _, ...content } = block;
  const keepFor = readCacheControl(block.cache_control, `${param}.cache_control`);
  return { type, ...said, part: { content: JSON.stringify(content), tokens: said.tokens, keepFor } };
}

type Said = Pick<Block, 'text' | 'tokens' | 'imageTokens' | 'images' | 'toolId'>;

function sayingOf(block: Record<string, unknown>, type: string, param: string): Said {
  switch (type) {
    case 'text':
      return plain(requiredText(block.text, `${param}.text`));
    case 'image':
      return imageSaying(requiredRecord(block.source, `${param}.source`), param);
    case 'tool_use':
      return {
        ...plain(`${block.name} ${JSON.stringify(block.input)}`),
        toolId: requiredText(block.id, `${param}.id`),
      };
    case 'tool_result':
      return toolResultSaying(block, param);
    case 'thinking':
      checkSignature(block, param);
      // Thinking of earlier turns is not billed again.
      return { ...plain(''), text: '' };
    case 'redacted_thinking':
      return plain('');
    default:
      // Documents, search results and the like count as their JSON text.
      return plain(JSON.stringify(block));
  }
}

function toolResultSaying(block: Record<string, unknown>, param: string): Said {
  const blocks = block.content === undefined ? [] : readContent(block.content, `${param}.content`);
  return {
    text: blocks.map(({ text }) => text).join('\n'),
    tokens: sum(blocks, ({ tokens }) => tokens),
    imageTokens: sum(blocks, ({ imageTokens }) => imageTokens),
    images: sum(blocks, ({ images }) => images),
    toolId: requiredText(block.tool_use_id, `${param}.tool_use_id`),
  };
}

/** An image counts its pixels divided by 750, as Anthropic documents it. */
function imageSaying(source: Record<string, unknown>, param: string): Said {
  const known = ['base64', 'url', 'file'].includes(String(source.type));
  if (!known) throw invalidRequest(`${param}.source.type: must be base64, url or file`, param);
  const size = source.type === 'base64' ? imageSize(source.data, `${param}.source.data`) : undefined;
  const pixels = size && size.width * size.height;
  const tokens =
    pixels === undefined
      ? defaultImageTokens
      : Math.min(maxImageTokens, Math.max(1, Math.ceil(pixels / pixelsPerToken)));
  return { text: '', tokens, imageTokens: tokens, images: 1, toolId: undefined };
}

function checkSignature({ thinking, signature }: Record<string, unknown>, param: string): void {
  const text = requiredText(thinking, `${param}.thinking`);
  // Thoughts that were not told come back empty, and their signature is all there is.
  if (text === '' && typeof signature === 'string' && signature !== '') return;
  if (signature !== signatureOf(text)) {
    throw invalidRequest(`${param}: Invalid \`signature\` in \`thinking\` block`, param);
  }
}

/** `ttl` is five minutes when left out. */
export function readCacheControl(control: unknown, param: string): '5m' | '1h' | undefined {
  const given = optionalRecord(control, param);
  if (!given) return undefined;
  const { type, ttl = '5m' } = given;
  if (type !== 'ephemeral' || (ttl !== '5m' && ttl !== '1h')) {
    throw invalidRequest(`${param}: must be ephemeral, for 5m or 1h`, param);
  }
  return ttl;
}

function plain(text: string): Said {
  return { text, tokens: countTokens(text), imageTokens: 0, images: 0, toolId: undefined };
}

export function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
