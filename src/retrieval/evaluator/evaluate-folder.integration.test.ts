import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { chunkText } from '../../knowledge/index.ts';
import { systemClock } from '../../platform/clock.ts';
import { createLanceDbIndex } from '../index/lancedb-index.ts';
import type { SearchIndex } from '../index/search-index.ts';
import { evaluateFolder } from './evaluate-folder.ts';

const folder = fileURLToPath(new URL('../../../test/fixtures/judged-set', import.meta.url));
/** Small passages, so that a small set still has something to choose from. */
const chunk = (text: string) => chunkText(text, { targetTokens: 80, maxTokens: 120 });

let directory: string;
let index: SearchIndex;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'evaluate-'));
  const onOptimiseFailure = (_tenantId: string, cause: unknown) => {
    throw cause;
  };
  index = createLanceDbIndex({ uri: directory, clock: systemClock, onOptimiseFailure });
});
afterAll(async () => {
  await index.stop();
  await rm(directory, { recursive: true });
});

it('scores our own judged set as well as it did, the same each time, and leaves no index behind', async () => {
  const asked: number[] = [];
  const report = await evaluateFolder({ folder, chunk, index, onProgress: (done) => asked.push(done) });
  const { overall } = report;
  expect(asked.at(-1)).toBe(overall.questions);
  expect(report.passages).toBeGreaterThan(10);
  expect(overall.recall[1].mean).toBeGreaterThanOrEqual(0.9);
  expect(overall.recall[5].mean).toBeGreaterThanOrEqual(0.95);
  expect(overall.ndcg10.mean).toBeGreaterThanOrEqual(0.92);
  expect(overall.citations?.precision.mean).toBeGreaterThanOrEqual(0.85);
  expect(overall.citations?.covered.mean).toBeGreaterThanOrEqual(0.85);
  expect(overall.citations?.declined.mean).toBeGreaterThanOrEqual(0.75);
  expect(await evaluateFolder({ folder, chunk, index })).toEqual(report);
  expect(await index.statistics('evaluation', { number: 1, dimensions: null })).toMatchObject({
    state: 'absent',
  });
});

it('is not fooled: passages that hold no evidence score nothing', async () => {
  const withoutEvidence = (text: string) =>
    chunk(text)
      .filter(({ start }) => start === 0)
      .map((passage) => ({ ...passage, end: passage.start + 5, text: passage.text.slice(0, 5) }));
  const { overall } = await evaluateFolder({ folder, chunk: withoutEvidence, index });
  expect(overall.recall[10].mean).toBe(0);
  expect(overall.ndcg10.mean).toBe(0);
});

it('refuses a folder that is not a judged set', async () => {
  await expect(evaluateFolder({ folder: directory, chunk, index })).rejects.toMatchObject({
    code: 'invalid',
  });
});
