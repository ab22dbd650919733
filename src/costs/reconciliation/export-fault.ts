import { AppError } from '../../platform/errors.ts';

/**
 * What is wrong with an export, and where.
 * @param place a line and column, `line 17: input_tokens`, or a member, `data[3].results[0].model`.
 */
export function exportFault(place: string, message: string): AppError {
  return new AppError('invalid', `The export cannot be read: ${place}: ${message}. Nothing was saved.`, {
    errors: [{ path: place, message }],
  });
}

const shownLength = 60;

/** A value as an error shows it. */
export function shown(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : (JSON.stringify(value) ?? String(value));
  return text.length > shownLength ? `${text.slice(0, shownLength)}…` : text;
}
