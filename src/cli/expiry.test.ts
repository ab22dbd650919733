import { describe, expect, it } from 'vitest';
import { UsageError } from './command.ts';
import { parseExpiry } from './expiry.ts';

const now = new Date('2030-01-15T10:00:00Z');

describe('an expiry', () => {
  it.each([
    ['12h', '2030-01-15T22:00:00.000Z'],
    ['90d', '2030-04-15T10:00:00.000Z'],
    ['2w', '2030-01-29T10:00:00.000Z'],
    ['2030-01-15', '2030-01-15T23:59:59.999Z'],
    ['2030-02-01T00:00:00+02:00', '2030-01-31T22:00:00.000Z'],
  ])('%s is %s', (text, expected) => expect(parseExpiry(text, now)).toBe(expected));

  it.each(['tomorrow', '90', '90 d', '-3d', '2030-02-31', '2030-02-01T00:00:00', '', '1e3d', '2030-13-01'])(
    '"%s" is refused as no time',
    (text) => expect(() => parseExpiry(text, now)).toThrow(/is not a time/),
  );

  it.each(['2030-01-14', '0d', '2029-12-31T23:59:59Z', '9999999w', '2999-01-01'])(
    '"%s" is refused as a time of no use',
    (text) => expect(() => parseExpiry(text, now)).toThrow(UsageError),
  );
});
