import { invalidRequest } from './provider-error.ts';

/**
 * Readers of untrusted JSON. Each names the field at fault in the ProviderError it throws; null counts as left out.
 */

export function optionalInteger(
  value: unknown,
  param: string,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
    throw invalidRequest(`'${param}' must be a whole number from ${least} to ${most}.`, param);
  }
  return value;
}

export function optionalBoolean(value: unknown, param: string): boolean {
  if (value === undefined || value === null) return false;
  if (typeof value !== 'boolean') throw invalidRequest(`'${param}' must be true or false.`, param);
  return value;
}

export function optionalRecord(value: unknown, param: string): Record<string, unknown> | undefined {
  return value === undefined || value === null ? undefined : requiredRecord(value, param);
}

export function requiredRecord(value: unknown, param: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidRequest(`'${param}' must be an object.`, param);
  }
  return value as Record<string, unknown>;
}

export function requiredText(value: unknown, param: string): string {
  if (typeof value !== 'string') throw invalidRequest(`'${param}' must be a text.`, param);
  return value;
}

export function optionalText(value: unknown, param: string): string | undefined {
  return value === undefined || value === null ? undefined : requiredText(value, param);
}

/** An empty list when left out. */
export function optionalList(value: unknown, param: string): readonly unknown[] {
  return value === undefined || value === null ? [] : requiredList(value, param);
}

export function requiredList(value: unknown, param: string): readonly unknown[] {
  if (!Array.isArray(value)) throw invalidRequest(`'${param}' must be a list.`, param);
  return value;
}

/** Texts that end an answer; empty ones are let be. */
export function stopTexts(value: unknown, param: string, most: number): string[] {
  const texts = optionalList(value, param);
  if (texts.length > most) throw invalidRequest(`'${param}' may hold at most ${most} texts.`, param);
  return texts.map((text, index) => requiredText(text, `${param}[${index}]`)).filter((text) => text !== '');
}
