import { z } from 'zod';
import { decimalOf, scaled } from '../money.ts';

/** US dollars; so that sums of very many stay far within 64 bits of nano-dollars. */
const highestUsd = 9_000_000;
const places = 9;

/** Dollars of either sign on the wire, a decimal string or a number of JSON, as exact nano-dollars; never 0. */
export const signedUsd = z
  .union([z.string().max(40), z.number()], 'must be an amount in US dollars, such as "-12.50"')
  .transform((value, context) => {
    const parsed = parse(value);
    if (typeof parsed === 'bigint') return parsed;
    context.addIssue({ code: 'custom', message: parsed });
    return z.NEVER;
  });

/** @returns nano-dollars, or what is wrong. */
function parse(value: string | number): bigint | string {
  const negative = typeof value === 'string' ? value.startsWith('-') : value < 0;
  const digits = digitsOf(typeof value === 'string' ? value.replace(/^-/, '') : Math.abs(value));
  if (digits === null) return 'must be an amount in US dollars as plain digits, such as "-12.50"';
  if ((digits.split('.')[1] ?? '').length > places) return `must have at most ${places} decimal places`;
  const nano = scaled(digits, places);
  if (nano > BigInt(highestUsd) * 10n ** BigInt(places))
    return `must be between -${highestUsd} and ${highestUsd}`;
  if (nano === 0n) return 'must not be zero';
  return negative ? -nano : nano;
}

function digitsOf(value: string | number): string | null {
  try {
    return decimalOf(value);
  } catch {
    return null;
  }
}
