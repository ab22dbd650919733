import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import { type Child, startChild, until } from '../../test/harness/child.ts';
import { notifierSuite } from '../../test/harness/notifier.ts';
import { answerWith, isSignedWith } from '../../test/harness/receiver.ts';
import { usualBounds } from './delivering.ts';

const program = fileURLToPath(new URL('../../test/harness/notifier-process.ts', import.meta.url));
const suite = notifierSuite();
const children: Child[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) await child.kill9();
});

async function startProcess(): Promise<Child> {
  const child = startChild(program, [suite.databaseUrl]);
  children.push(child);
  await child.said('delivering');
  return child;
}

it('processes killed in the middle lose nothing: each event arrives, under its own id, signed', async () => {
  // Set up and told by an instance that delivers nothing: it is ended before anything is due.
  const notifier = await suite.start();
  const { secret } = await suite.channel(notifier, '/in');
  const others = ['/b', '/c', '/d'];
  for (const path of others) await suite.channel(notifier, path);
  await suite.end(notifier);
  const events = 45;
  const keys = Array.from({ length: events }, (_, n) => `event ${n}`);
  for (const dedupeKey of keys) await suite.tell(notifier, { dedupeKey, data: { key: dedupeKey } });

  for (const path of ['/in', ...others]) {
    suite.receiver.answer(path, (response, message, again) => {
      setTimeout(() => answerWith(200)(response, message, again), 10);
    });
  }
  const kills = 3;
  for (let n = 1; n <= kills; n++) {
    const child = await startProcess();
    await until(async () => suite.receiver.messages.length >= n * 30);
    await child.kill9();
  }
  await startProcess();
  const rows = await suite.inState(notifier, 'delivered');
  expect(rows).toHaveLength(4 * events);

  for (const path of ['/in', ...others]) {
    const received = suite.receivedOn(path);
    expect(new Set(received.map(({ json }) => json.data.details.key))).toEqual(new Set(keys));
    // One id for each event, however often it came.
    expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(events);
    expect(
      new Set(received.map(({ headers, json }) => `${headers['webhook-id']} ${json.data.details.key}`)).size,
    ).toBe(events);
  }
  expect(suite.receivedOn('/in').every((message) => isSignedWith(secret ?? '', message))).toBe(true);
  // A second time comes only what was under way when a process was killed.
  const extra = suite.receiver.messages.length - 4 * events;
  expect(extra).toBeLessThanOrEqual(kills * usualBounds.perTenant);
  expect(suite.receiver.mostAtOnce()).toBe(1);
});
