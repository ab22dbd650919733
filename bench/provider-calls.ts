import { pause } from './until.ts';

/** A gateway may answer with the end mark of a stream and let the provider's connection end a moment later. */
const settleMs = 1_000;

/**
 * Calls that have reached the simulated provider so far, whoever made them. Nobody may be asking it meanwhile.
 * @param url its origin.
 */
export async function providerCalls(url: string): Promise<number> {
  await pause(settleMs);
  const response = await fetch(`${url}/__sim/journal?limit=1`);
  return ((await response.json()) as { totals: { calls: number } }).totals.calls;
}
