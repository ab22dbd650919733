import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { principalOf } from '../../../test/harness/budgets.ts';
import { createLog } from '../../platform/log.ts';
import type { CallUnderWay } from './budget-gate.ts';
import { createCallsUnderWay } from './calls-under-way.ts';

const program = fileURLToPath(new URL('../../../test/harness/notes-writer.ts', import.meta.url));
const log = createLog('silent');
const tenantId = '019aa0c2-0000-7000-8000-0000000000aa';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'gatehouse-notes-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const call = (id: string, given: Partial<CallUnderWay> = {}): CallUnderWay => ({
  id,
  at: new Date('2026-11-20T10:00:00Z'),
  principal: principalOf(tenantId, { keyId: 'key_1' }),
  correlationId: 'c',
  promptId: 'p',
  tags: ['a'],
  operation: 'chat',
  dialect: 'openai-chat',
  route: 'fast',
  provider: { name: 'sim', baseUrl: 'http://127.0.0.1:1/v1' },
  model: 'gpt-4o',
  tier: 'primary',
  streamed: true,
  inputTokens: 5,
  outputTokens: 7,
  ...given,
});
const open = (writer: string) => {
  const notes = createCallsUnderWay(directory, writer, log);
  notes.open();
  return notes;
};

/** Runs the writer until it has told of about `lines` notes and ends, and kills it. */
async function noteAndKill(lines: number) {
  const writer = spawn(process.execPath, [program, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
  let told = '';
  writer.stdout.on('data', (part) => {
    told += part;
    if (told.split('\n').length > lines) writer.kill('SIGKILL');
  });
  await once(writer, 'close');
  // The last line may have been cut by the kill; what is not a whole line was not told.
  const said = told
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split(' '));
  const ids = (word: string) => said.flatMap(([first, id]) => (first === word && id ? [id] : []));
  return { noted: ids('noted'), over: new Set(ids('over')) };
}

describe('notes of calls under way', () => {
  it('has every call that was noted and not let go when its process was killed with -9', async () => {
    for (let round = 0; round < 4; round++) {
      const { noted, over } = await noteAndKill(1_000 + round * 900);
      const stillOpen = noted.filter((id) => !over.has(id));
      const notes = open(`after-${round}`);
      const found = new Set(notes.left().flatMap(({ calls }) => calls.map(({ id }) => id)));
      expect(stillOpen.length).toBeGreaterThan(20);
      expect(stillOpen.filter((id) => !found.has(id))).toEqual([]);
      for (const left of notes.left()) notes.forget(left);
      expect(notes.left()).toEqual([]);
      notes.close();
      expect(readdirSync(directory)).toEqual([]);
    }
  }, 60_000);

  it('says all that the call’s row needs, as it was noted last', () => {
    const dead = open('dead');
    dead.note(call('1'));
    dead.note(call('1', { model: 'gpt-4o-mini', outputTokens: 9 }));
    const [left, ...others] = open('next').left();
    expect(others).toEqual([]);
    expect(left?.writer).toBe('dead');
    const { principal: _, ...said } = call('1', { model: 'gpt-4o-mini', outputTokens: 9 });
    expect(left?.calls).toEqual([{ ...said, tenantId, keyId: 'key_1', userId: null }]);
  });

  it('removes a file when its calls have their rows, and takes up no more than those under way need', async () => {
    const notes = open('w');
    const rows = Promise.withResolvers<void>();
    for (let i = 0; i < 3_000; i++) {
      notes.note(call(String(i), { tags: ['x'.repeat(60), 'y'.repeat(60), 'z'.repeat(60)] }));
      notes.recorded(String(i), rows.promise);
    }
    expect(readdirSync(directory).length).toBeGreaterThan(3);
    expect(notes.size()).toBe(3_000);
    rows.resolve();
    await rows.promise;
    expect(notes.size()).toBe(0);
    expect(readdirSync(directory)).toHaveLength(1);
    notes.note(call('long'));
    notes.close();
    expect(
      open('next')
        .left()
        .flatMap(({ calls }) => calls.map(({ id }) => id)),
    ).toContain('long');
  });

  it('forgets a call once its row is on disk, and not while it is on its way there', async () => {
    const notes = open('w');
    const row = Promise.withResolvers<void>();
    notes.note(call('1'));
    notes.recorded('1', row.promise);
    notes.recorded('unknown', row.promise);
    expect(notes.size()).toBe(1);
    row.resolve();
    await row.promise;
    expect(notes.size()).toBe(0);
    notes.close();
    expect(readdirSync(directory)).toEqual([]);
  });

  it('reads what is whole where a line was cut', () => {
    const dead = open('dead');
    dead.note(call('1'));
    const [name = ''] = readdirSync(directory);
    writeFileSync(join(directory, name), '0123abcd {"id":"2","ten', { flag: 'a' });
    expect(
      open('next')
        .left()[0]
        ?.calls.map(({ id }) => id),
    ).toEqual(['1']);
  });

  it('does not begin a call that it cannot note', () => {
    const notes = open('w');
    notes.close();
    rmSync(directory, { recursive: true });
    expect(() => notes.note(call('1'))).toThrow(/cannot be put on record/);
  });
});
