import { describe, expect, it } from 'vitest';
import { attack } from './attack.ts';

/** A sample of what `npm run soak:tenants` plays. */
const attempts = 2_000;

describe('tenants on one server and ten connections', () => {
  it(`learn nothing of each other and change nothing of each other's, in ${attempts} attempts`, async () => {
    const { leaks, replies, routes } = await attack(attempts, 1, () => {});
    expect(leaks).toEqual([]);
    // The attempts have teeth: most operations were tried, and some did something.
    expect(routes).toBeGreaterThan(70);
    expect(Object.keys(replies)).toEqual(expect.arrayContaining(['200', '201', '403', '404', '422']));
  }, 240_000);
});
