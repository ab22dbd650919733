import { describe, expect, it } from 'vitest';
import { judge } from './attempt.ts';

const now = new Date('2026-11-21T08:00:00Z');
const verdict = (
  status: number,
  {
    kind = 'webhook' as 'webhook' | 'slack' | 'pagerduty',
    tries = 1,
    aged = 0,
    retryAfter = undefined as string | undefined,
  } = {},
) => judge({ tries, channel_kind: kind }, { status, retryAfter }, { aged, now, fraction: () => 0.5 });

describe('what becomes of a delivery', () => {
  it.each([200, 201, 202, 204, 299])('%i: it is delivered', (status) => {
    expect(verdict(status)).toEqual({ result: 'delivered', status });
  });

  it('410: the receiver is gone', () => {
    expect(verdict(410)).toEqual({ result: 'gone', status: 410 });
    expect(verdict(410, { kind: 'slack' })).toEqual({ result: 'gone', status: 410 });
  });

  it.each([101, 301, 302, 307, 308, 400, 401, 403, 404, 429, 500, 502, 503, 504])(
    '%i: it is tried again',
    (status) => {
      expect(verdict(status)).toMatchObject({
        result: 'failed',
        status,
        error: expect.stringContaining(`status ${status}`),
        nextInMs: 2_500,
        heldBackMs: null,
      });
    },
  );

  it('400 of PagerDuty, which does not change its mind: it is dead', () => {
    expect(verdict(400, { kind: 'pagerduty' })).toMatchObject({ result: 'dead', nextInMs: null });
    expect(verdict(429, { kind: 'pagerduty' })).toMatchObject({ result: 'failed' });
  });

  it('Retry-After: not sooner, and nothing else either while the receiver is overrun', () => {
    expect(verdict(503, { retryAfter: '60' })).toMatchObject({ nextInMs: 60_000, heldBackMs: 60_000 });
    expect(verdict(429, { retryAfter: '60' })).toMatchObject({ nextInMs: 60_000, heldBackMs: 60_000 });
    expect(verdict(500, { retryAfter: '60' })).toMatchObject({ nextInMs: 60_000, heldBackMs: null });
    expect(verdict(503, { retryAfter: 'soon' })).toMatchObject({ nextInMs: 2_500, heldBackMs: null });
  });

  it('a day of failures: it is dead', () => {
    expect(verdict(500, { aged: 24 * 3_600_000 })).toMatchObject({ result: 'dead', nextInMs: null });
    expect(verdict(500, { tries: 8, aged: 23 * 3_600_000 })).toMatchObject({ nextInMs: 3_600_000 });
  });

  it('no answer at all: it is tried again, with the reason', () => {
    const lost = { status: null, error: 'the connection was lost' } as const;
    const at = { aged: 0, now, fraction: () => 0.5 };
    expect(judge({ tries: 2, channel_kind: 'webhook' }, lost, at)).toEqual({
      result: 'failed',
      status: null,
      error: 'the connection was lost',
      nextInMs: 15_000,
      heldBackMs: null,
    });
  });
});
