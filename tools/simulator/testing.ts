import { afterEach } from 'vitest';
import type { SimulatorOptions } from './options.ts';
import { createSimulator, type Simulator } from './server.ts';

export const testKey = 'sk-test-simulator';

/** The smallest picture there is: one pixel, PNG. */
export const onePixel =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

export const weatherSchema = {
  type: 'object' as const,
  properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 1, maximum: 5 } },
  required: ['city', 'days'],
  additionalProperties: false,
};

/** Simulators for one test file, each stopped after the test that started it. */
export function simulators(): (
  options?: Partial<SimulatorOptions>,
) => Promise<{ readonly simulator: Simulator; readonly url: string }> {
  const running: Simulator[] = [];
  afterEach(async () => {
    await Promise.all(running.splice(0).map((simulator) => simulator.stop()));
  });
  return async (options = {}) => {
    const simulator = createSimulator({ seed: 7, apiKey: testKey, ...options });
    running.push(simulator);
    const { url } = await simulator.start();
    return { simulator, url };
  };
}

/** All of a stream, as far as it comes. */
export async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}
