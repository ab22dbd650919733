import { AppError } from '../../platform/errors.ts';

/** Which models a caller may call. */
export interface ModelList {
  /** @param name a route's, or `provider/model`. */
  has(name: string): boolean;
}

const form = /^[A-Za-z0-9*][A-Za-z0-9._:@/*-]{0,199}$/;
const mostStars = 4;

/**
 * @param patterns names of routes, or `provider/model`, in which `*` stands for any number of characters.
 * @returns undefined for none: then every model will do.
 */
export function modelList(patterns: readonly string[]): ModelList | undefined {
  if (patterns.length === 0) return undefined;
  const names = new Set(patterns.filter((pattern) => !pattern.includes('*')));
  const parts = patterns.filter((pattern) => pattern.includes('*')).map((pattern) => pattern.split('*'));
  return Object.freeze({ has: (name: string) => names.has(name) || parts.some((one) => matches(one, name)) });
}

/** Pieces in order, the first at the beginning and the last at the end: linear in the name, whatever the pattern. */
function matches(pieces: readonly string[], name: string): boolean {
  const first = pieces[0] ?? '';
  const last = pieces.at(-1) ?? '';
  if (name.length < first.length + last.length || !name.startsWith(first) || !name.endsWith(last))
    return false;
  const end = name.length - last.length;
  let at = first.length;
  for (const piece of pieces.slice(1, -1)) {
    const found = name.indexOf(piece, at);
    if (found < 0 || found + piece.length > end) return false;
    at = found + piece.length;
  }
  return true;
}

/** @throws AppError `invalid` that names the entry, for one that can be no model's name. */
export function refuseBadPatterns(patterns: readonly string[], field: string): void {
  const at = patterns.findIndex((text) => !form.test(text) || text.split('*').length - 1 > mostStars);
  if (at < 0) return;
  throw new AppError('invalid', `${field} holds what can be no model's name.`, {
    errors: [
      {
        path: `${field}.${at}`,
        message: "must be a route's name or provider/model, with * for any characters",
      },
    ],
  });
}
