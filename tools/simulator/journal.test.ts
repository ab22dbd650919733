import { expect, test } from 'vitest';
import { createJournal, credentialMark, headersForJournal } from './journal.ts';

const start = {
  requestId: 'req',
  method: 'POST',
  path: '/v1/embeddings',
  wire: 'other' as const,
  headers: {},
};

test('the journal keeps the newest calls and counts all', () => {
  const journal = createJournal({ now: () => 5, limit: 3 });
  for (let index = 0; index < 20; index += 1)
    journal.end(journal.begin(start), index % 2 === 0 ? 'aborted' : 'whole');
  expect(journal.calls().map(({ number }) => number)).toEqual([18, 19, 20]);
  expect(journal.totals()).toEqual({ calls: 20, streams: 0, aborted: 10 });
});

test('a call is a copy: changing it does not change the journal', () => {
  const journal = createJournal({ now: () => 5, limit: 3 });
  journal.begin(start);
  for (const call of journal.calls()) call.model = 'changed';
  expect(journal.calls()[0]?.model).toBeNull();
});

test('waiting ends with a call that is there, or that comes; otherwise it fails', async () => {
  const journal = createJournal({ now: () => 5, limit: 3 });
  const coming = journal.waitFor(({ aborted }) => aborted);
  const call = journal.begin(start);
  journal.end(call, 'aborted');
  expect((await coming).abortedAt).toBe(5);
  expect((await journal.waitFor(({ aborted }) => aborted)).number).toBe(1);
  await expect(journal.waitFor(({ stream }) => stream, 1)).rejects.toThrow('within 1 ms');
});

test('credentials are kept as a mark only', () => {
  const kept = headersForJournal({ authorization: 'Bearer sk-test-1', 'x-correlation-id': 'c-1' });
  expect(kept).toEqual({ authorization: credentialMark('Bearer sk-test-1'), 'x-correlation-id': 'c-1' });
  expect(JSON.stringify(kept)).not.toContain('sk-test-1');
  expect(credentialMark('Bearer sk-test-1')).not.toBe(credentialMark('Bearer sk-test-2'));
});
