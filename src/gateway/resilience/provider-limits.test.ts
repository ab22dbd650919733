import { describe, expect, it } from 'vitest';
import { exhaustionIn } from './provider-limits.ts';

const now = Date.UTC(2026, 10, 21, 5, 0, 0);

describe('a limit that is used up', () => {
  it.each([
    [
      'requests of OpenAI: one more fits when its share of the minute is over',
      {
        'x-ratelimit-limit-requests': '10',
        'x-ratelimit-remaining-requests': '0',
        'x-ratelimit-reset-requests': '1m0s',
      },
      { roomMs: 6_000, fullMs: 60_000 },
    ],
    [
      'tokens of OpenAI: a call needs many',
      {
        'x-ratelimit-remaining-requests': '99',
        'x-ratelimit-reset-requests': '6h',
        'x-ratelimit-limit-tokens': '30000',
        'x-ratelimit-remaining-tokens': '0',
        'x-ratelimit-reset-tokens': '1m',
      },
      { roomMs: 3_000, fullMs: 60_000 },
    ],
    [
      'a call that is larger than the limit waits until it is full',
      {
        'x-ratelimit-limit-tokens': '100',
        'x-ratelimit-remaining-tokens': '0',
        'x-ratelimit-reset-tokens': '30s',
      },
      { roomMs: 30_000, fullMs: 30_000 },
    ],
    [
      'without its size nothing is known before it is full',
      { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '20' },
      { roomMs: 20_000, fullMs: 20_000 },
    ],
    [
      'output tokens of Anthropic',
      {
        'anthropic-ratelimit-requests-limit': '50',
        'anthropic-ratelimit-requests-remaining': '49',
        'anthropic-ratelimit-requests-reset': '2026-11-21T05:00:01Z',
        'anthropic-ratelimit-output-tokens-limit': '6000',
        'anthropic-ratelimit-output-tokens-remaining': '0',
        'anthropic-ratelimit-output-tokens-reset': '2026-11-21T05:00:40Z',
      },
      { roomMs: 10_000, fullMs: 40_000 },
    ],
    [
      'several: the last one decides',
      {
        'x-ratelimit-remaining-requests': '0',
        'x-ratelimit-reset-requests': '2s',
        'x-ratelimit-remaining-tokens': '0',
        'x-ratelimit-reset-tokens': '5s',
      },
      { roomMs: 5_000, fullMs: 5_000 },
    ],
    [
      'a reset that has passed',
      {
        'anthropic-ratelimit-requests-remaining': '0',
        'anthropic-ratelimit-requests-reset': '2026-11-21T04:59:00+00:00',
      },
      { roomMs: 0, fullMs: 0 },
    ],
  ])('%s', (_what, headers, expected) => {
    expect(exhaustionIn(headers, now, 1_500)).toEqual(expected);
  });

  it.each([
    {},
    { 'x-ratelimit-remaining-requests': '1', 'x-ratelimit-reset-requests': '1s' },
    { 'x-ratelimit-remaining-requests': '0' },
    { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': 'soon' },
    { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '-5s' },
    { 'x-ratelimit-remaining-requests': ['0', '0'], 'x-ratelimit-reset-requests': '5s' },
    { 'anthropic-ratelimit-requests-remaining': '0', 'anthropic-ratelimit-requests-reset': 'tomorrow' },
    { 'retry-after': '5' },
  ])('is not guessed from %o', (headers) => {
    expect(exhaustionIn(headers, now, 1_500)).toBeNull();
  });
});
