import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AppError } from '../../platform/errors.ts';
import { loadJudgedSet } from './judged-set.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'judged-'));
  await mkdir(join(folder, 'corpora'));
});
afterEach(() => rm(folder, { recursive: true }));

const row = (question: string, references: unknown, corpus: string) =>
  [question, typeof references === 'string' ? references : JSON.stringify(references), corpus]
    .map((field) => `"${field.replaceAll('"', '""')}"`)
    .join(',');

async function write(
  texts: Record<string, string>,
  rows: readonly string[],
  header = 'question,references,corpus_id',
) {
  for (const [name, text] of Object.entries(texts))
    await writeFile(join(folder, 'corpora', `${name}.md`), text);
  await writeFile(join(folder, 'questions.csv'), [header, ...rows].join('\r\n'));
}

async function problems(): Promise<{ path: string; message: string }[]> {
  const error = await loadJudgedSet(folder).then(
    () => undefined,
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(AppError);
  return [...(error as AppError).errors];
}

describe('loadJudgedSet', () => {
  it('reads documents, questions and evidence in reading order', async () => {
    const second = { content: 'two', start_index: 4, end_index: 7 };
    const first = { content: 'one', start_index: 0, end_index: 3 };
    await write({ my_text: 'one two three' }, [row('Which, then?', [second, first], 'my_text')]);
    expect(await loadJudgedSet(folder)).toMatchObject({
      documents: [{ id: 'my_text', title: 'my text', text: 'one two three' }],
      questions: [
        {
          id: 'q1',
          question: 'Which, then?',
          documentId: 'my_text',
          evidence: [
            { start: 0, end: 3 },
            { start: 4, end: 7 },
          ],
        },
      ],
    });
  });

  it('counts code points in the file and gives UTF-16 units', async () => {
    await write({ a: '👍👍 thumbs' }, [
      row('What?', [{ content: 'thumbs', start_index: 3, end_index: 9 }], 'a'),
    ]);
    const set = await loadJudgedSet(folder);
    expect(set.questions[0]?.evidence).toEqual([{ start: 5, end: 11 }]);
    expect(set.documents[0]?.text.slice(5, 11)).toBe('thumbs');
  });

  it('reports every problem at once, each with its line', async () => {
    const good = [{ start_index: 0, end_index: 3 }];
    await write({ a: 'one two three' }, [
      row('Fine?', good, 'a'),
      row(' ', good, 'a'),
      row('No such text?', good, 'b'),
      row('Not JSON?', '{', 'a'),
      row('No evidence?', [], 'a'),
      row('Out of range?', [{ start_index: 4, end_index: 99 }], 'a'),
      row('Backwards?', [{ start_index: 4, end_index: 4 }], 'a'),
      row('Other content?', [{ content: 'two', start_index: 0, end_index: 3 }], 'a'),
    ]);
    expect((await problems()).map(({ path }) => path)).toEqual(
      [3, 4, 5, 6, 7, 8, 9].map((line) => `questions.csv line ${line}`),
    );
  });

  it('refuses a folder that is not a judged set', async () => {
    await expect(loadJudgedSet(join(folder, 'nothing'))).rejects.toMatchObject({ code: 'invalid' });
    await expect(loadJudgedSet(folder)).rejects.toThrow('no .md files');
    await write({ a: 'text' }, []);
    expect(await problems()).toMatchObject([{ message: 'there are no questions' }]);
    await write({ a: 'text' }, ['x'], 'query,answer');
    expect((await problems())[0]?.message).toContain('question, references, corpus_id');
    await write({ a: 'text' }, ['"never closed']);
    expect((await problems())[0]?.message).toContain('never closed');
    await writeFile(join(folder, 'corpora', 'a.md'), Buffer.from([0xff, 0xfe, 0x00]));
    await expect(loadJudgedSet(folder)).rejects.toThrow('UTF-8');
  });
});
