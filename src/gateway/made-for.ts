import { promptPattern, tagPattern } from '../costs/index.ts';
import { AppError } from '../platform/errors.ts';
import type { MadeFor } from './model-call.ts';

export const forNothing: MadeFor = Object.freeze({ promptId: null, tags: Object.freeze([]) });

const maxTags = 10;

/**
 * What a call is made for: the headers `X-Gatehouse-Prompt` (an id or a name) and `X-Gatehouse-Tags` (`checkout, beta`).
 * Said twice counts once.
 * @throws AppError `bad_request` naming the header, when it is not of that form.
 */
export function madeForOf(
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
): MadeFor {
  const prompt = headers['x-gatehouse-prompt'];
  const tags = headers['x-gatehouse-tags'];
  if (prompt === undefined && tags === undefined) return forNothing;
  return { promptId: promptOf(prompt), tags: tagsOf(tags) };
}

function promptOf(header: string | readonly string[] | undefined): string | null {
  if (header === undefined || header === '') return null;
  if (typeof header === 'string' && promptPattern.test(header)) return header;
  throw new AppError(
    'bad_request',
    'X-Gatehouse-Prompt takes one id or name of at most 100 printable characters without blanks.',
  );
}

function tagsOf(header: string | readonly string[] | undefined): readonly string[] {
  if (header === undefined) return [];
  const given = [header].flat().join(',').split(',');
  const tags = [...new Set(given.map((tag) => tag.trim()))].filter((tag) => tag !== '');
  if (tags.length <= maxTags && tags.every((tag) => tagPattern.test(tag))) return tags;
  throw new AppError(
    'bad_request',
    `X-Gatehouse-Tags takes at most ${maxTags} tags with commas between them: letters, digits, blanks and _ . : / = @ + -, each at most 64 characters.`,
  );
}
