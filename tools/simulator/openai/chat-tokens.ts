import type { PromptTokens } from '../model-call.ts';
import { countTokens } from '../tokens.ts';

/** One low-detail tile. */
const tokensPerImage = 85;
/** OpenAI counts a token for each tenth of a second it hears; 24 kHz, 16 bits, one channel are 4,800 bytes. */
const bytesPerAudioToken = 4_800;

/**
 * The prompt's tokens: for each message 3, its role, its content and 1 more with its name; 3 to open the reply (the
 * rule in OpenAI's cookbook for counting chat tokens). Beyond that rule and stated here: an image part counts 85 (one
 * low-detail tile), audio a token for each tenth of a second, any other part, tool calls and tool definitions count
 * as their JSON text.
 */
export function countPromptTokens(messages: readonly unknown[], tools: unknown): PromptTokens {
  let all = 3 + (tools === undefined ? 0 : countTokens(JSON.stringify(tools)));
  let images = 0;
  let audio = 0;
  for (const message of messages) {
    const { role, content, name, tool_calls: toolCalls } = message as Record<string, unknown>;
    const counted = countContent(content);
    all += 3 + countTokens(String(role)) + counted.all;
    images += counted.images;
    audio += counted.audio;
    if (typeof name === 'string') all += 1 + countTokens(name);
    if (toolCalls !== undefined) all += countTokens(JSON.stringify(toolCalls));
  }
  return { all, image: images * tokensPerImage, audio, images };
}

function countContent(content: unknown): { all: number; images: number; audio: number } {
  if (typeof content === 'string') return { all: countTokens(content), images: 0, audio: 0 };
  const counted = { all: 0, images: 0, audio: 0 };
  for (const part of Array.isArray(content) ? (content as Record<string, unknown>[]) : []) {
    if (typeof part.text === 'string') counted.all += countTokens(part.text);
    else if (part.type === 'image_url') {
      counted.all += tokensPerImage;
      counted.images += 1;
    } else if (part.type === 'input_audio') {
      const audio = countAudio(part.input_audio);
      counted.all += audio;
      counted.audio += audio;
    } else counted.all += countTokens(JSON.stringify(part));
  }
  return counted;
}

function countAudio(given: unknown): number {
  const { data } = (typeof given === 'object' && given !== null ? given : {}) as Record<string, unknown>;
  return typeof data === 'string' ? Math.ceil((data.length * 3) / 4 / bytesPerAudioToken) : 0;
}
