import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createLog } from '../../platform/log.ts';
import { createMetrics } from '../../platform/metrics.ts';
import type { Provider, ProviderKey, Target } from '../resolution.ts';
import type { BreakerNews, HealthShare } from './health-news.ts';
import { createTargetHealth } from './target-health.ts';
import { type Refusal, Visit, type VisitEnd } from './visit.ts';

function timeOfTest() {
  let ms = 1_000;
  return {
    clock: { monotonicMs: () => ms, now: () => new Date(Date.UTC(2026, 0, 1) + ms) },
    pass: (more: number) => {
      ms += more;
    },
  };
}

const keyOf = (value: string, weight = 1): ProviderKey => ({ value, hint: null, weight });
const providerOf = (keys: readonly ProviderKey[] = [keyOf('a')], settings = {}): Provider => ({
  id: 'provider-1',
  tenantId: null,
  name: 'p',
  kind: 'openai',
  baseUrl: 'http://127.0.0.1:1/v1',
  keys,
  keyProblem: null,
  settings,
  localAddressesAllowed: true,
  source: 'stored',
  createdAt: new Date(0),
});
const targetOf = (provider: Provider): Target => ({ tier: 'primary', provider, model: 'm', weight: 1 });

function healthOfTest(given: { share?: HealthShare; fraction?: () => number } = {}) {
  const time = timeOfTest();
  const metrics = createMetrics();
  const health = createTargetHealth({
    clock: time.clock,
    random: { fraction: given.fraction ?? (() => 0.5) },
    log: createLog('silent'),
    metrics,
    ...(given.share ? { share: given.share } : {}),
  });
  const visit = (target: Target, refused: readonly ProviderKey[] = []): Visit => {
    const entered = health.enter(target, refused);
    if (!(entered instanceof Visit)) throw new Error(`refused: ${entered.refused}`);
    return entered;
  };
  const end = (target: Target, how: VisitEnd) => visit(target).end(how);
  return { ...time, health, metrics, visit, end };
}

const failed: VisitEnd = { kind: 'failed', reason: 'answered 503' };
const limited = (retryAfterMs: number | null): VisitEnd => ({
  kind: 'key_refused',
  limit: true,
  reason: 'answered 429',
  retryAfterMs,
});

describe('the health of a target', () => {
  it('tells state, failures and time of a target that is kept away from, and lets it be again', () => {
    const { health, end, pass, visit } = healthOfTest();
    const target = targetOf(providerOf());
    for (let n = 0; n < 5; n++) end(target, failed);
    expect(health.enter(target, [])).toEqual({ refused: 'open', waitMs: 60_000 });
    expect(health.status(target)).toMatchObject({
      state: 'open',
      openUntil: new Date(Date.UTC(2026, 0, 1) + 61_000),
      consecutiveFailures: 5,
      lastFailure: { reason: 'answered 503' },
      attempts: 5,
      failures: 5,
    });
    pass(60_000);
    const probe = visit(target);
    expect(health.admits(target)).toBe(false);
    // The rest of the answer may take as long as it likes.
    probe.answered(true);
    expect(health.status(target)).toMatchObject({ state: 'closed', inFlight: 1 });
    probe.end({ kind: 'well' });
    expect(health.statusOf(target.provider)).toMatchObject([{ state: 'closed', inFlight: 0 }]);
  });

  it('keeps each of a provider’s keys away for as long as its limit says, and the target when all are', () => {
    const keys = [keyOf('a'), keyOf('b')] as const;
    const { health, end, pass, visit } = healthOfTest({ fraction: () => 0 });
    const target = targetOf(providerOf(keys));
    const first = visit(target);
    expect(first.key).toBe(keys[0]);
    first.end(limited(7_000));
    expect(visit(target).key).toBe(keys[1]);
    end(target, limited(3_000));
    expect(health.enter(target, [])).toEqual({ refused: 'limited', waitMs: 3_000 });
    expect(health.status(target)).toMatchObject({
      state: 'open',
      openUntil: new Date(Date.UTC(2026, 0, 1) + 4_000),
    });
    pass(3_000);
    expect(visit(target).key).toBe(keys[1]);
    expect((health.enter(target, [keys[1]]) as Refusal).refused).toBe('keys_tried');
    pass(4_000);
    expect(visit(target, [keys[1]]).key).toBe(keys[0]);
  });

  it('tells a refused credential from a limit', () => {
    const { health, end } = healthOfTest();
    const target = targetOf(providerOf());
    for (let n = 0; n < 5; n++)
      end(target, { kind: 'key_refused', limit: false, reason: 'answered 401', retryAfterMs: null });
    expect(health.enter(target, [])).toEqual({ refused: 'credential', waitMs: 60_000 });
    expect(health.status(target)).toMatchObject({ state: 'open', lastFailure: { reason: 'answered 401' } });
  });

  it('draws keys by their weights', () => {
    const keys = [keyOf('a', 1), keyOf('b', 3)];
    let drawn = 0;
    const { visit } = healthOfTest({ fraction: () => drawn });
    const target = targetOf(providerOf(keys));
    drawn = 0.24;
    expect(visit(target).key).toBe(keys[0]);
    drawn = 0.26;
    expect(visit(target).key).toBe(keys[1]);
    drawn = 0.999;
    expect(visit(target).key).toBe(keys[1]);
  });

  it('takes no more calls to a provider than fit in', () => {
    const { health, visit } = healthOfTest();
    const provider = providerOf([keyOf('a')], { maxConcurrent: 2 });
    const first = visit(targetOf(provider));
    visit({ ...targetOf(provider), model: 'other' });
    expect(health.enter(targetOf(provider), [])).toEqual({ refused: 'full', waitMs: null });
    first.end({ kind: 'unknown' });
    first.end({ kind: 'unknown' });
    visit(targetOf(provider));
    expect(health.admits(targetOf(provider))).toBe(false);
  });

  it('doubts what fails more often than retries can carry, until a while has passed without a failure', () => {
    const { health, end, pass } = healthOfTest();
    const target = targetOf(providerOf());
    expect(health.doubt(target)).toBe(0);
    for (let n = 0; n < 5; n++) {
      end(target, failed);
      expect(health.doubt(target)).toBe(n < 4 ? 1 : 2);
      end(target, { kind: 'well' });
    }
    expect(health.status(target).state).toBe('closed');
    pass(60_000);
    expect(health.doubt(target)).toBe(0);
  });

  it('knows nothing any more of a provider that was changed', () => {
    const { health, end } = healthOfTest();
    const before = providerOf();
    for (let n = 0; n < 5; n++) end(targetOf(before), failed);
    expect(health.admits(targetOf(before))).toBe(false);
    expect(health.admits(targetOf(providerOf()))).toBe(true);
  });

  it('means the latency of about the last ten, of streams before whole replies', () => {
    const { health, visit, pass } = healthOfTest();
    const target = targetOf(providerOf());
    const answer = (ms: number, streamed: boolean) => {
      const going = visit(target);
      pass(ms);
      going.answered(streamed);
      going.end({ kind: 'well' });
    };
    expect(health.latencyMs(target)).toBeNull();
    answer(900, false);
    expect(health.latencyMs(target)).toBe(900);
    answer(100, true);
    answer(200, true);
    expect(health.latencyMs(target)).toBeCloseTo(120);
  });

  it('never counts below nothing or loses a place, whatever ends in whatever order', () => {
    const how = fc.constantFrom<VisitEnd>(
      failed,
      { kind: 'well' },
      { kind: 'unknown' },
      limited(5),
      limited(null),
    );
    fc.assert(
      fc.property(
        fc.array(fc.record({ how, which: fc.nat(), begin: fc.boolean() }), { maxLength: 60 }),
        (steps) => {
          const { health, pass } = healthOfTest();
          const target = targetOf(providerOf([keyOf('a'), keyOf('b')], { maxConcurrent: 3 }));
          const going: Visit[] = [];
          for (const step of steps) {
            pass(3);
            if (step.begin) {
              const entered = health.enter(target, []);
              if (entered instanceof Visit) going.push(entered);
            } else going.splice(step.which % Math.max(1, going.length), 1)[0]?.end(step.how);
            expect(going.length).toBeLessThanOrEqual(3);
            expect(health.status(target).inFlight).toBe(going.length);
          }
          for (const visit of going) visit.end({ kind: 'well' });
          pass(200_000);
          expect(health.admits(target)).toBe(true);
        },
      ),
    );
  });

  it('shows breakers and their changes as metrics', async () => {
    const { metrics, end } = healthOfTest();
    const target = targetOf(providerOf());
    for (let n = 0; n < 5; n++) end(target, failed);
    const text = await metrics.metrics();
    expect(text).toContain('gatehouse_breaker_state{provider="p",model="m"} 2');
    expect(text).toContain('gatehouse_breaker_transitions_total{provider="p",model="m",to="open"}');
  });
});

describe('instances that share what they know', () => {
  function twoInstances() {
    const heard: ((news: BreakerNews) => void)[] = [];
    const instance = (own: number) =>
      healthOfTest({
        share: {
          publish: (news) => {
            for (const [n, tell] of heard.entries()) if (n !== own) tell(news);
          },
          subscribe: (tell) => heard.push(tell),
        },
      });
    return [instance(0), instance(1)] as const;
  }

  it('keep away together from a target, and come back together', () => {
    const [one, other] = twoInstances();
    const provider = providerOf();
    const target = targetOf(provider);
    const same = targetOf(provider);
    for (let n = 0; n < 5; n++) one.end(target, failed);
    // Not used there before.
    expect(other.health.enter(same, [])).toEqual({ refused: 'open', waitMs: 60_000 });
    one.pass(60_000);
    one.end(target, { kind: 'well' });
    expect(other.health.admits(same)).toBe(true);
    one.end(target, limited(7_000));
    expect(other.health.enter(same, [])).toEqual({ refused: 'limited', waitMs: expect.any(Number) });
  });
});

describe('a key whose limit is used up by the word of an answer', () => {
  const keys = [keyOf('a'), keyOf('b')];

  it('comes after the others until it is full again, and may be used when there is room', () => {
    const { visit, pass } = healthOfTest({ fraction: () => 0 });
    const target = targetOf(providerOf(keys));
    const first = visit(target);
    expect(first.key?.value).toBe('a');
    first.exhausted(500, 10_000);
    first.end({ kind: 'well' });
    expect(visit(target).key?.value).toBe('b');
    // Nobody else is left: half a second is nothing to be kept away for.
    expect(visit(target, [keys[1] as ProviderKey]).key?.value).toBe('a');
    pass(9_999);
    expect(visit(target).key?.value).toBe('b');
    pass(1);
    expect(visit(target).key?.value).toBe('a');
  });

  it('is not used at all before there is room, when that takes long, however the answer ends', () => {
    for (const how of [{ kind: 'well' }, failed, { kind: 'unknown' }] as const) {
      const { health, visit, pass } = healthOfTest();
      const target = targetOf(providerOf([keyOf('a')]));
      const first = visit(target);
      first.exhausted(6_000, 60_000);
      first.answered(false);
      first.end(how);
      expect(health.enter(target, [])).toEqual({ refused: 'limited', waitMs: 6_000 });
      pass(6_000);
      expect(visit(target).key?.value).toBe('a');
    }
  });

  it('is believed for a day at most', () => {
    const { health, visit } = healthOfTest();
    const target = targetOf(providerOf([keyOf('a')]));
    visit(target).exhausted(1e12, 1e12);
    expect(health.enter(target, [])).toEqual({ refused: 'limited', waitMs: 24 * 3_600_000 });
  });
});
