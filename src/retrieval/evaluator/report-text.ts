import type { Estimate } from './bootstrap.ts';
import { type EvaluationReport, RECALL_AT, type Scores } from './evaluate.ts';

/** The report as lines for a terminal: the figures with their intervals, then the main ones for each document. */
export function reportText(report: EvaluationReport): string {
  const { overall } = report;
  const passages = report.passages === null ? '' : `, ${report.passages} passages`;
  const lines = [
    `${report.set}: ${overall.questions} questions, ${report.documents} documents${passages}`,
    'mean [95 % interval by bootstrap over questions]',
    '',
    ...RECALL_AT.map((count) => line(`recall@${count} by span`, overall.recall[count])),
    ...RECALL_AT.map((count) => line(`recall@${count} of spans half found`, overall.hitRecall[count])),
    line('nDCG@10', overall.ndcg10),
    line('MRR@10', overall.mrr10),
    line('characters in the first 5', overall.characters5, 0),
    ...citationLines(overall),
    '',
    ...byDocument(report),
  ];
  return `${lines.join('\n')}\n`;
}

function citationLines({ citations }: Scores): string[] {
  if (!citations) return [];
  return [
    line('citation precision', citations.precision),
    line('citation precision, characters', citations.characterPrecision),
    line('citation recall by span', citations.recall),
    line('characters cited', citations.characters, 0),
    line('said to be covered', citations.covered),
    line('said not to be, without document', citations.declined),
  ];
}

const LABEL_WIDTH = 32;

function line(label: string, { mean, low, high }: Estimate, digits = 3): string {
  return `${label.padEnd(LABEL_WIDTH)} ${mean.toFixed(digits)}  [${low.toFixed(digits)}, ${high.toFixed(digits)}]`;
}

function byDocument({ byDocument: scores }: EvaluationReport): string[] {
  const cells = Object.entries(scores).map(([id, of]) => [
    id,
    `${of.questions}`,
    of.recall[5].mean.toFixed(3),
    of.ndcg10.mean.toFixed(3),
    of.citations?.precision.mean.toFixed(3) ?? '-',
  ]);
  const table = [['document', 'questions', 'recall@5', 'nDCG@10', 'citation precision'], ...cells];
  const widths =
    table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  return table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
