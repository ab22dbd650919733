import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { imageSizeOfBase64 } from './image-size.ts';
import {
  anthropicImageTokens,
  estimateImageTokens,
  geminiImageTokens,
  openAiImageTokens,
} from './image-tokens.ts';

const bytes = (...parts: readonly (string | readonly number[])[]) =>
  Buffer.concat(
    parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : Buffer.from(part))),
  );
const base64 = (...parts: readonly (string | readonly number[])[]) =>
  Buffer.concat([bytes(...parts), Buffer.alloc(32)]).toString('base64');

describe('the size of a picture', () => {
  it.each([
    ['PNG', base64([0x89], 'PNG\r\n\x1a\n', [0, 0, 0, 13], 'IHDR', [0, 0, 3, 32, 0, 0, 2, 88])],
    ['GIF', base64('GIF89a', [0x20, 3, 0x58, 2])],
    [
      'lossy WebP',
      base64('RIFF', [0, 0, 0, 0], 'WEBPVP8 ', [0, 0, 0, 0, 0, 0, 0, 0x9d, 1, 0x2a, 0x20, 3, 0x58, 2]),
    ],
    ['lossless WebP', base64('RIFF', [0, 0, 0, 0], 'WEBPVP8L', [0, 0, 0, 0, 0x2f, 0x1f, 0xc3, 0x95, 0x00])],
    [
      'extended WebP',
      base64('RIFF', [0, 0, 0, 0], 'WEBPVP8X', [10, 0, 0, 0, 0, 0, 0, 0, 0x1f, 3, 0, 0x57, 2, 0]),
    ],
    [
      'JPEG behind other segments',
      base64(
        [0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 1, 0xff, 0xc4, 0, 3, 9, 0xff, 0xff, 0xc2, 0, 17, 8],
        [0x02, 0x58, 0x03, 0x20],
      ),
    ],
  ])('is read from the first bytes of a %s', (_name, picture) => {
    expect(imageSizeOfBase64(picture)).toEqual({ width: 800, height: 600 });
  });

  it('is not known of anything else, and reading ends whatever comes', () => {
    expect(imageSizeOfBase64(base64('%PDF-1.7'))).toBeNull();
    expect(imageSizeOfBase64('')).toBeNull();
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.constantFrom('', 'ÿØ', 'RIFF0000WEBPVP8X'),
        (data, start) => {
          const size = imageSizeOfBase64(base64(start, [...data]));
          expect(size === null || (size.width > 0 && size.height > 0)).toBe(true);
        },
      ),
    );
  });
});

describe('tokens of a picture', () => {
  it('are those of the examples that OpenAI gives', () => {
    expect(openAiImageTokens({ width: 1024, height: 1024 }, 'high', 'gpt-4o')).toBe(765);
    expect(openAiImageTokens({ width: 2048, height: 4096 }, 'high', 'gpt-4o')).toBe(1_105);
    expect(openAiImageTokens({ width: 4096, height: 8192 }, 'low', 'gpt-4o')).toBe(85);
    expect(openAiImageTokens({ width: 1024, height: 1024 }, 'auto', 'o4-mini')).toBe(Math.ceil(1_024 * 1.72));
  });

  it('are those of the examples that Anthropic gives, to the token', () => {
    expect(anthropicImageTokens({ width: 200, height: 200 })).toBe(54);
    expect(anthropicImageTokens({ width: 1000, height: 1000 })).toBe(1_334);
    expect(anthropicImageTokens({ width: 1092, height: 1092 })).toBe(1_590);
    expect(anthropicImageTokens({ width: 8000, height: 8000 })).toBe(1_600);
  });

  it('are those of the examples that Google gives', () => {
    expect(geminiImageTokens({ width: 384, height: 384 })).toBe(258);
    expect(geminiImageTokens({ width: 960, height: 540 })).toBe(6 * 258);
  });

  it('follow the maker of the model, wherever it is served', () => {
    const size = { width: 200, height: 200 };
    expect(estimateImageTokens({ size }, 'bedrock', 'eu.anthropic.claude-sonnet-4-5')).toBe(54);
    expect(estimateImageTokens({ size }, 'openai-compatible', 'google/gemini-2.5-pro')).toBe(258);
    expect(estimateImageTokens({ size }, 'azure', 'my-deployment')).toBe(255);
    expect(estimateImageTokens({ size: null }, 'openai', 'gpt-4o')).toBe(765);
  });

  it('are bounded and grow with the picture', () => {
    const side = fc.integer({ min: 1, max: 20_000 });
    fc.assert(
      fc.property(side, side, (width, height) => {
        const size = { width, height };
        const larger = { width: width + 512, height };
        expect(anthropicImageTokens(size)).toBeLessThanOrEqual(1_600);
        expect(openAiImageTokens(size, 'high', 'gpt-4o')).toBeLessThanOrEqual(85 + 170 * 8);
        expect(geminiImageTokens(size)).toBeGreaterThanOrEqual(258);
        expect(openAiImageTokens(larger, 'high', 'o4-mini')).toBeGreaterThanOrEqual(
          openAiImageTokens(size, 'high', 'o4-mini'),
        );
      }),
    );
  });
});
