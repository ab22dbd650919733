import { AppError, type FieldProblem } from '../../platform/errors.ts';
import type { JsonObject } from '../json-object.ts';

/** Fields that one error names: whoever has more to mend hears of the rest once these are mended. */
export const maxProblems = 50;
/** Names of members are the caller's own text. */
const maxPathLength = 200;

/**
 * Reads a request field by field and gathers what is wrong with it, so that a caller is told all of it at once. A
 * member that is null counts as absent, as it does with the providers.
 */
export class FieldReader {
  readonly problems: FieldProblem[] = [];

  refuse(path: string, message: string): void {
    if (this.problems.length === maxProblems) return;
    const shown = path.length > maxPathLength ? `${path.slice(0, maxPathLength)}…` : path;
    this.problems.push({ path: shown, message });
  }

  text(value: unknown, path: string): string | undefined {
    return this.#typed(value, path, 'string', 'must be a text');
  }
  number(value: unknown, path: string): number | undefined {
    return this.#typed(value, path, 'number', 'must be a number');
  }
  flag(value: unknown, path: string): boolean | undefined {
    return this.#typed(value, path, 'boolean', 'must be true or false');
  }

  object(value: unknown, path: string): JsonObject | undefined {
    if (absent(value)) return undefined;
    if (isObject(value)) return value;
    this.refuse(path, 'must be an object');
    return undefined;
  }

  list(value: unknown, path: string): readonly unknown[] | undefined {
    if (absent(value)) return undefined;
    if (Array.isArray(value)) return value;
    this.refuse(path, 'must be a list');
    return undefined;
  }

  /** Refuses the members that are neither known nor absent. */
  only(object: JsonObject, known: readonly string[], path: string): void {
    for (const [key, value] of Object.entries(object)) {
      if (!known.includes(key) && !absent(value)) this.refuse(join(path, key), 'cannot be carried');
    }
  }

  /** @throws AppError `invalid` naming the fields that were refused. */
  finish(): void {
    if (this.problems.length === 0) return;
    const named = this.problems.map(({ path, message }) => `"${path}" ${message}`).join('; ');
    throw new AppError('invalid', `The request cannot be carried to a provider of another kind: ${named}.`, {
      errors: this.problems,
    });
  }

  #typed<T>(value: unknown, path: string, type: string, message: string): T | undefined {
    if (absent(value)) return undefined;
    if (typeof value === type) return value as T;
    this.refuse(path, message);
    return undefined;
  }
}

export function absent(value: unknown): value is null | undefined {
  return value === undefined || value === null;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Dots between the names and numbers on the way to a field. */
export function join(path: string, key: string | number): string {
  return path === '' ? String(key) : `${path}.${key}`;
}
