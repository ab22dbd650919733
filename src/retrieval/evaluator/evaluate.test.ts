import { describe, expect, it } from 'vitest';
import { type Answerer, evaluate, type Passage } from './evaluate.ts';
import type { JudgedSet } from './judged-set.ts';
import { reportText } from './report-text.ts';

const set: JudgedSet = {
  name: 'small',
  documents: [
    { id: 'a', title: 'a', text: 'x'.repeat(100) },
    { id: 'b', title: 'b', text: 'y'.repeat(100) },
  ],
  questions: [
    {
      id: 'q1',
      question: 'one',
      documentId: 'a',
      evidence: [
        { start: 0, end: 10 },
        { start: 50, end: 60 },
      ],
    },
    { id: 'q2', question: 'two', documentId: 'b', evidence: [{ start: 90, end: 100 }] },
  ],
};
const at = (documentId: string, start: number, end: number): Passage => ({ documentId, start, end });
const passages = [at('a', 0, 40), at('a', 40, 80), at('a', 80, 100), at('b', 0, 50), at('b', 50, 100)];

describe('evaluate', () => {
  it('scores a perfect answerer with ones', async () => {
    const found: Record<string, Passage[]> = {
      one: [at('a', 0, 40), at('a', 40, 80)],
      two: [at('b', 50, 100)],
    };
    const answerer: Answerer = {
      search: async (question) => found[question] ?? [],
      cite: async (question) => ({
        citations: set.questions
          .filter((asked) => asked.question === question)
          .flatMap((asked) => asked.evidence.map(({ start, end }) => at(asked.documentId, start, end))),
        covered: true,
      }),
      coversWithout: async () => false,
    };
    const { overall } = await evaluate({ set, answerer, passages });
    expect(overall.recall[3].mean).toBe(1);
    expect(overall.recall[1].mean).toBe(0.75);
    expect(overall.ndcg10.mean).toBe(1);
    expect(overall.mrr10.mean).toBe(1);
    expect(overall.characters5.mean).toBe((80 + 50) / 2);
    const one = { mean: 1, low: 1, high: 1 };
    expect(overall.citations).toMatchObject({
      precision: one,
      characterPrecision: one,
      recall: one,
      covered: one,
      declined: one,
    });
  });

  it('does not take the same characters of another document for evidence', async () => {
    const answerer: Answerer = {
      search: async () => [at('b', 0, 40), at('a', 40, 80)],
      cite: async () => ({ citations: [at('b', 0, 10), at('a', 50, 60)], covered: true }),
    };
    const { byDocument, overall } = await evaluate({ set, answerer, passages });
    expect(byDocument.a?.recall[3].mean).toBe(0.5);
    expect(byDocument.a?.mrr10.mean).toBe(0.5);
    expect(byDocument.a?.citations).toMatchObject({
      precision: { mean: 0.5 },
      characterPrecision: { mean: 0.5 },
      recall: { mean: 0.5 },
    });
    expect(byDocument.b?.recall[10].mean).toBe(0);
    expect(overall.questions).toBe(2);
  });

  it('counts no precision where nothing is cited, and shows the report', async () => {
    const answerer: Answerer = {
      search: async () => [],
      cite: async () => ({ citations: [], covered: false }),
    };
    const progress: number[] = [];
    const report = await evaluate({ set, answerer, onProgress: (done) => progress.push(done) });
    expect(progress).toEqual([1, 2]);
    expect(report.overall.citations).toMatchObject({
      precision: { mean: 0 },
      recall: { mean: 0 },
      covered: { mean: 0 },
    });
    expect(reportText(report)).toContain('recall@5 by span                 0.000  [0.000, 0.000]');
  });
});
