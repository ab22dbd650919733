import { signatureOf } from '../anthropic/signature.ts';
import { imageSize } from '../images.ts';
import type { PromptPart } from '../prompt-cache.ts';
import { invalidRequest } from '../provider-error.ts';
import { optionalList, optionalRecord, requiredList, requiredRecord, requiredText } from '../read-json.ts';
import { countTokens } from '../tokens.ts';

/** What one content block says and counts. */
export interface ConverseBlock {
  readonly text: string;
  readonly tokens: number;
  readonly imageTokens: number;
  readonly images: number;
  readonly uses?: string;
  readonly answers?: string;
  /** A mark: the prompt up to here is to be cached. */
  readonly keepFor?: '5m' | '1h';
  readonly content: string;
}

/** An image counts the same here whatever its size. */
const tokensPerImage = 1_590;

/** Reads the blocks of a message, of the system prompt or of a tool result. Throws ProviderError. */
export function readBlocks(given: unknown, param: string): ConverseBlock[] {
  return requiredList(given, param).map((block, index) =>
    readBlock(requiredRecord(block, `${param}.${index}`), `${param}.${index}`),
  );
}

/** The parts of the prompt as they are cached: what stands before a mark is kept up to there. */
export function partsOf(blocks: readonly ConverseBlock[]): PromptPart[] {
  const parts: PromptPart[] = [];
  for (const { keepFor, content, tokens } of blocks) {
    const last = parts.at(-1);
    if (keepFor === undefined) parts.push({ content, tokens });
    else if (last) parts[parts.length - 1] = { ...last, keepFor };
  }
  return parts;
}

function readBlock(block: Record<string, unknown>, param: string): ConverseBlock {
  const content = JSON.stringify(block);
  if (typeof block.text === 'string') return { ...plain(block.text), content };
  const image = optionalRecord(block.image, `${param}.image`);
  if (image) return { ...imageSaying(image, `${param}.image`), content };
  const toolUse = optionalRecord(block.toolUse, `${param}.toolUse`);
  if (toolUse) {
    const said = plain(`${toolUse.name} ${JSON.stringify(toolUse.input)}`);
    return { ...said, uses: requiredText(toolUse.toolUseId, `${param}.toolUse.toolUseId`), content };
  }
  const toolResult = optionalRecord(block.toolResult, `${param}.toolResult`);
  if (toolResult) return { ...resultSaying(toolResult, `${param}.toolResult`), content };
  if (block.cachePoint !== undefined) return { ...plain(''), ...readMark(block.cachePoint, param), content };
  const reasoning = optionalRecord(block.reasoningContent, `${param}.reasoningContent`);
  if (reasoning) {
    checkReasoning(reasoning, `${param}.reasoningContent`);
    return { ...plain(''), content };
  }
  if (block.json !== undefined) return { ...plain(JSON.stringify(block.json)), content };
  if (block.document !== undefined || block.guardContent !== undefined || block.video !== undefined) {
    return { ...plain(content), text: '', content };
  }
  throw invalidRequest(`The content block at ${param} is empty or of no known kind.`, param);
}

type Said = Pick<ConverseBlock, 'text' | 'tokens' | 'imageTokens' | 'images'>;

function plain(text: string): Said {
  return { text, tokens: countTokens(text), imageTokens: 0, images: 0 };
}

function imageSaying(image: Record<string, unknown>, param: string): Said {
  if (!['png', 'jpeg', 'gif', 'webp'].includes(String(image.format))) {
    throw invalidRequest(`${param}.format must be png, jpeg, gif or webp.`, `${param}.format`);
  }
  const source = requiredRecord(image.source, `${param}.source`);
  if (source.s3Location === undefined) imageSize(source.bytes, `${param}.source.bytes`);
  return { text: '', tokens: tokensPerImage, imageTokens: tokensPerImage, images: 1 };
}

function resultSaying(result: Record<string, unknown>, param: string): Said & Pick<ConverseBlock, 'answers'> {
  const blocks = optionalList(result.content, `${param}.content`).length
    ? readBlocks(result.content, `${param}.content`)
    : [];
  return {
    text: blocks.map(({ text }) => text).join('\n'),
    tokens: blocks.reduce((total, block) => total + block.tokens, 0),
    imageTokens: blocks.reduce((total, block) => total + block.imageTokens, 0),
    images: blocks.reduce((total, block) => total + block.images, 0),
    answers: requiredText(result.toolUseId, `${param}.toolUseId`),
  };
}

function readMark(given: unknown, param: string): { keepFor: '5m' | '1h' } {
  const { type, ttl = '5m' } = requiredRecord(given, `${param}.cachePoint`);
  if (type !== 'default' || (ttl !== '5m' && ttl !== '1h')) {
    throw invalidRequest(`${param}.cachePoint must be of type default, for 5m or 1h.`, `${param}.cachePoint`);
  }
  return { keepFor: ttl };
}

function checkReasoning(reasoning: Record<string, unknown>, param: string): void {
  const told = optionalRecord(reasoning.reasoningText, `${param}.reasoningText`);
  if (!told) return;
  if (told.signature !== signatureOf(requiredText(told.text, `${param}.reasoningText.text`))) {
    throw invalidRequest(`${param}: Invalid signature in reasoning block.`, param);
  }
}
