import { z } from 'zod';

/** Figures as every answer about costs has them. */

export const count = z.number().int();
export const usd = z.string().describe('US dollars as an exact decimal with nine places');

/** Tokens by class. Classes are part of input or output, as the ledger counts them. */
export const tokenCounts = z.object({
  input: count,
  cached_read: count,
  cache_write_5m: count,
  cache_write_1h: count,
  output: count,
  reasoning: count,
  image: count,
  audio: count,
});
