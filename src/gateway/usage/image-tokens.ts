import type { ProviderKind, Target } from '../../routing/index.ts';
import { type ImageSize, imageSizeOfBase64 } from './image-size.ts';

/** A picture in a request, as far as its cost depends on it. */
export interface Picture {
  /** Null where it is not known, as of one that the provider fetches. */
  readonly size: ImageSize | null;
  /** How closely OpenAI's models are to look. */
  readonly detail?: 'low' | 'high' | 'auto';
}

/** Tokens of a picture for one target. */
export type PictureCounter = (picture: Picture) => number;

export function pictureCounter({ provider, model }: Target): PictureCounter {
  return (picture) => estimateImageTokens(picture, provider.kind, model);
}

/** @param url a data URI, whose size is read, or an address, behind which nobody looks. */
export function pictureAt(url: unknown, detail?: unknown): Picture {
  const data = typeof url === 'string' ? /^data:[^,]*;base64,/i.exec(url) : null;
  const size = data ? imageSizeOfBase64(String(url).slice(data[0].length)) : null;
  return detail === 'low' || detail === 'high' ? { size, detail } : { size };
}

/** What is assumed of a picture whose size is not known. */
const usualSize: ImageSize = { width: 1024, height: 1024 };

/**
 * Tokens that a picture counts by its provider's own rule; used only where the provider did not tell.
 * @param model as the provider names it.
 */
export function estimateImageTokens(picture: Picture, kind: ProviderKind, model: string): number {
  const size = picture.size ?? usualSize;
  if (/claude/i.test(model) || kind === 'anthropic') return anthropicImageTokens(size);
  if (/gemini/i.test(model) || kind === 'gemini') return geminiImageTokens(size);
  return openAiImageTokens(size, picture.detail ?? 'auto', model);
}

/** Models that count squares of 512 pixels, with the tokens of the picture and of each square. */
const tiled: readonly (readonly [RegExp, base: number, tile: number])[] = [
  [/^gpt-4o-mini/, 2_833, 5_667],
  [/^o[13]\b(?!-mini)/, 75, 150],
  [/^gpt-5(?!.*(?:mini|nano))/, 70, 140],
  [/^computer-use/, 65, 129],
];
/** Models that count squares of 32 pixels, with the tokens of each. */
const patched: readonly (readonly [RegExp, factor: number])[] = [
  [/^(?:gpt-4\.1|gpt-5)[\w.-]*mini/, 1.62],
  [/^(?:gpt-4\.1|gpt-5)[\w.-]*nano/, 2.46],
  [/^o4-mini/, 1.72],
];
const patch = 32;
const mostPatches = 1_536;

/**
 * OpenAI: the picture is made to fit 2,048 × 2,048, then its shorter side 768, and squares of 512 are counted; in low
 * detail the picture counts once. Smaller models count squares of 32 instead, at most 1,536 of them
 * (https://platform.openai.com/docs/guides/images-vision#calculating-costs).
 */
export function openAiImageTokens(size: ImageSize, detail: 'low' | 'high' | 'auto', model: string): number {
  const factor = patched.find(([names]) => names.test(model))?.[1];
  if (factor !== undefined) {
    const patches = Math.ceil(size.width / patch) * Math.ceil(size.height / patch);
    return Math.ceil(Math.min(patches, mostPatches) * factor);
  }
  // What gpt-4o and gpt-4.1 count stands for every other one.
  const [, base, tile] = tiled.find(([names]) => names.test(model)) ?? [null, 85, 170];
  if (detail === 'low') return base;
  const within = scaled(size, 2_048 / Math.max(size.width, size.height));
  const seen = scaled(within, 768 / Math.min(within.width, within.height));
  return base + tile * Math.ceil(seen.width / 512) * Math.ceil(seen.height / 512);
}

/**
 * Anthropic: pixels divided by 750, once the longer side is at most 1,568, and at most some 1,600 tokens
 * (https://platform.claude.com/docs/en/build-with-claude/vision#calculate-image-costs).
 */
export function anthropicImageTokens(size: ImageSize): number {
  const { width, height } = scaled(size, 1_568 / Math.max(size.width, size.height));
  return Math.min(1_600, Math.ceil((width * height) / 750));
}

/**
 * Gemini: 258 for a picture of at most 384 × 384, and 258 for each tile of a larger one. Tiles are two thirds of the
 * shorter side, between 256 and 768 pixels (https://ai.google.dev/gemini-api/docs/image-understanding#token-calculation).
 */
export function geminiImageTokens({ width, height }: ImageSize): number {
  if (width <= 384 && height <= 384) return 258;
  const tile = Math.min(768, Math.max(256, Math.floor(Math.min(width, height) / 1.5)));
  return 258 * Math.ceil(width / tile) * Math.ceil(height / tile);
}

/** Pictures are made smaller, never larger. */
function scaled({ width, height }: ImageSize, by: number): ImageSize {
  const factor = Math.min(1, by);
  return { width: width * factor, height: height * factor };
}
