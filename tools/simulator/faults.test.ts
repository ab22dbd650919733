import { expect, test } from 'vitest';
import { createFaults, type FaultInput, parseFault } from './faults.ts';

const call = (number: number, model = 'gpt-4o-mini', path = '/v1/chat/completions') => ({
  number,
  model,
  path,
  wire: 'openai-chat' as const,
  key: 'sk-test-one',
});

function faultsAt(clock: { ms: number }, faults: FaultInput | FaultInput[], seed = 7) {
  const set = createFaults({ seed, now: () => clock.ms });
  set.set(faults);
  return set;
}

function struck(seed: number): number[] {
  const faults = faultsAt({ ms: 0 }, { kind: 'server-error', probability: 0.3 }, seed);
  return Array.from({ length: 2_000 }, (_, number) => number).filter(
    (number) => faults.choose(call(number)).fault,
  );
}

test('a probability hits its share of calls, the same ones for the same seed', () => {
  expect(struck(7)).toEqual(struck(7));
  expect(struck(7)).not.toEqual(struck(8));
  expect(struck(7).length).toBeGreaterThan(500);
  expect(struck(7).length).toBeLessThan(700);
});

test('a fault ends after its number of calls', () => {
  const faults = faultsAt({ ms: 0 }, { kind: 'rate-limited', times: 2 });
  expect([1, 2, 3].map((number) => faults.choose(call(number)).fault?.kind)).toEqual([
    'rate-limited',
    'rate-limited',
    undefined,
  ]);
});

test('a storm ends with its time', () => {
  const clock = { ms: 1_000 };
  const faults = faultsAt(clock, { kind: 'rate-limited', forMs: 500 });
  clock.ms = 1_499;
  expect(faults.choose(call(1)).fault).toBeDefined();
  clock.ms = 1_500;
  expect(faults.choose(call(2)).fault).toBeUndefined();
});

test('a fault keeps to its model and path; the first that fits wins', () => {
  const faults = faultsAt({ ms: 0 }, [
    { kind: 'unavailable', model: 'gpt-4o' },
    { kind: 'no-usage', path: '/v1/embeddings' },
    { kind: 'html-error' },
  ]);
  expect(faults.choose(call(1, 'gpt-4o')).fault?.kind).toBe('unavailable');
  expect(faults.choose(call(2, 'm', '/v1/embeddings')).fault?.kind).toBe('no-usage');
  expect(faults.choose(call(3)).fault?.kind).toBe('html-error');
});

test('a fault is written in one line; what is not a fault is refused', () => {
  expect(parseFault('rate-limited; probability=0.5; retryAfterS=2; model=gpt-4o')).toEqual({
    kind: 'rate-limited',
    probability: 0.5,
    retryAfterS: 2,
    model: 'gpt-4o',
  });
  expect(() => parseFault('explode')).toThrow();
  expect(() => parseFault('rate-limited; often=1')).toThrow();
});
