import { describe, expect, it } from 'vitest';
import { AppError } from '../../platform/errors.ts';
import { refusedFields } from '../providers/translated-call.ts';
import type { UpstreamRequest } from '../upstream.ts';
import { FieldReader, maxProblems } from './field-reader.ts';

const manyMembers = Object.fromEntries(Array.from({ length: 80_000 }, (_, n) => [`member${n}`, 1]));

function refusalOf(read: (fields: FieldReader) => void): AppError {
  const fields = new FieldReader();
  read(fields);
  try {
    fields.finish();
  } catch (error) {
    if (error instanceof AppError) return error;
  }
  throw new Error('nothing was refused');
}

describe('what is said of a request that cannot be carried', () => {
  it('names every field, up to a bound that keeps the error shorter than the request', () => {
    const { errors, message } = refusalOf((fields) => fields.only(manyMembers, [], ''));
    expect(errors).toHaveLength(maxProblems);
    expect(message).toContain('"member0" cannot be carried');
    expect(message.length).toBeLessThan(10_000);
  });

  it('repeats no name that is longer than any field has', () => {
    const { errors, message } = refusalOf((fields) =>
      fields.only({ ['x'.repeat(1_000_000)]: 1 }, [], 'tools.0'),
    );
    expect(errors[0]?.path).toMatch(/^tools\.0\.x+…$/);
    expect(message.length).toBeLessThan(1_000);
  });

  it('keeps the same bound where a provider is what cannot take it', () => {
    const request = { target: { provider: { name: 'p' } } } as unknown as UpstreamRequest;
    const problems = Array.from({ length: 5_000 }, (_, n) => ({
      path: `messages.${n}`,
      message: 'cannot be sent',
    }));
    const { errors, message } = refusedFields(request, problems);
    expect(errors).toHaveLength(maxProblems);
    expect(message).toContain('"messages.0" cannot be sent');
    expect(message.length).toBeLessThan(10_000);
  });
});
