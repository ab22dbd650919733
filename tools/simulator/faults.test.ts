import { expect, test } from 'vitest';
import { createFaults, type FaultInput, type FaultSchedule, faultKinds, parseFault } from './faults.ts';

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

test('a list of steps is met in order by the calls in its scope, whatever other calls do', () => {
  const faults = createFaults({ seed: 7, now: () => 0 });
  const steps = ['rate-limited; retryAfterS=3', null, { kind: 'cut-mid-stream' as const, afterChunks: 2 }];
  faults.schedule({ model: 'shaky', steps });
  const met = [1, 2, 3, 4].map((number) => {
    expect(faults.choose(call(number, 'steady'))).toEqual({ fault: undefined, step: null });
    return faults.choose(call(number, 'shaky'));
  });
  expect(met.map(({ fault, step }) => [fault?.kind, step])).toEqual([
    ['rate-limited', 1],
    [undefined, 2],
    ['cut-mid-stream', 3],
    [undefined, 4],
  ]);
  expect(met[0]?.fault?.retryAfterS).toBe(3);
  expect(faults.schedules()[0]?.met).toBe(4);
  faults.schedule({ steps: ['unavailable', null], repeat: true });
  expect([1, 2, 3].map((number) => faults.choose(call(number)).fault?.kind)).toEqual([
    'unavailable',
    undefined,
    'unavailable',
  ]);
});

test('a fault or a schedule keeps to one key, by its end', () => {
  const faults = createFaults({ seed: 7, now: () => 0 });
  const withKey = (key: string) => ({ ...call(1), key });
  faults.set({ kind: 'unavailable', key: 'one' });
  expect(faults.choose(withKey('sk-test-one')).fault?.kind).toBe('unavailable');
  expect(faults.choose(withKey('sk-test-two')).fault).toBeUndefined();
  faults.schedule({ key: 'sk-test-two', steps: ['server-error'] });
  expect(faults.choose(withKey('sk-test-one')).fault?.kind).toBe('unavailable');
  expect(faults.choose(withKey('sk-test-two')).fault?.kind).toBe('server-error');
});

function drawn(schedule: FaultSchedule, calls = 2_000): (string | undefined)[] {
  const faults = createFaults({ seed: 1, now: () => 0 });
  faults.schedule(schedule);
  return Array.from({ length: calls }, (_, number) => faults.choose(call(number)).fault?.kind);
}

test('a schedule from a seed is the same each time, hits its share, and ends after its calls', () => {
  const schedule = { seed: 5, share: 0.4 };
  expect(drawn(schedule)).toEqual(drawn(schedule));
  expect(drawn(schedule)).not.toEqual(drawn({ ...schedule, seed: 6 }));
  const struckKinds = drawn(schedule).filter((kind) => kind !== undefined);
  expect(struckKinds.length).toBeGreaterThan(700);
  expect(struckKinds.length).toBeLessThan(900);
  expect(new Set(struckKinds)).toEqual(new Set(faultKinds));
  const few = drawn({ ...schedule, share: 1, kinds: ['cut-mid-stream', 'rate-limited'], calls: 10 });
  expect(few.slice(0, 10).every((kind) => kind === 'cut-mid-stream' || kind === 'rate-limited')).toBe(true);
  expect(few.slice(10).some((kind) => kind !== undefined)).toBe(false);
});

test('lists of models are no steps of a schedule, unless it names them', () => {
  const faults = createFaults({ seed: 1, now: () => 0 });
  const list = { ...call(1), wire: 'openai-models' as const };
  faults.schedule({ steps: ['unavailable'] });
  expect(faults.choose(list)).toEqual({ fault: undefined, step: null });
  faults.schedule({ wire: 'openai-models', steps: ['unavailable'] });
  expect(faults.choose(list).step).toBe(1);
});

test('what is not a schedule is refused', () => {
  const faults = createFaults({ seed: 1, now: () => 0 });
  expect(() => faults.schedule({ steps: ['explode'] })).toThrow();
  expect(() => faults.schedule({ seed: 1, share: 2 })).toThrow();
});
