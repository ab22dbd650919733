import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { AppError, type FieldProblem } from '../../platform/errors.ts';
import { parseCsv } from './csv.ts';
import type { Span } from './spans.ts';

export interface JudgedDocument {
  /** The file name without `.md`. */
  readonly id: string;
  readonly title: string;
  readonly text: string;
}

export interface JudgedQuestion {
  /** Place in the file, from 1, as a stable id: `q17`. */
  readonly id: string;
  readonly question: string;
  readonly documentId: string;
  /** The spans that answer it: at least one, none empty, in reading order. */
  readonly evidence: readonly Span[];
}

/** Documents and questions whose answering characters a judge has marked. */
export interface JudgedSet {
  readonly name: string;
  readonly documents: readonly JudgedDocument[];
  readonly questions: readonly JudgedQuestion[];
}

/** Bounds that keep a wrong folder from filling memory. */
const MAX_FILE_BYTES = 64 * 1024 * 1024;
const MAX_DOCUMENTS = 10_000;
const MAX_QUESTIONS = 100_000;
/** Problems reported together; the rest are counted. */
const MAX_PROBLEMS = 20;

const COLUMNS = ['question', 'references', 'corpus_id'] as const;
const referencesSchema = z
  .array(
    z.object({
      content: z.string().optional(),
      start_index: z.int().min(0),
      end_index: z.int().min(1),
    }),
  )
  .min(1);

/**
 * Reads a judged set folder: `questions.csv` with the columns `question`, `references` (a JSON list of
 * `{content, start_index, end_index}`) and `corpus_id`, and `corpora/<corpus_id>.md`. Indices count Unicode
 * characters (code points) of the file; `content`, where given, must equal what they span.
 * Throws AppError `invalid` with every problem found (up to 20), each naming file and line.
 */
export async function loadJudgedSet(folder: string): Promise<JudgedSet> {
  const documents = await loadDocuments(join(folder, 'corpora'));
  const csv = await readBounded(join(folder, 'questions.csv'));
  const problems: FieldProblem[] = [];
  const questions = readQuestions(csv, documents, (line, message) =>
    problems.push({ path: `questions.csv line ${line}`, message }),
  );
  if (problems.length > 0) throw invalid(folder, problems);
  return { name: basename(folder), documents, questions };
}

async function loadDocuments(folder: string): Promise<JudgedDocument[]> {
  const names = await readdir(folder).catch((cause) => {
    throw new AppError('invalid', `${folder} cannot be read: a judged set has its texts in corpora/*.md.`, {
      cause,
    });
  });
  const files = names.filter((name) => name.endsWith('.md')).sort();
  if (files.length === 0) throw new AppError('invalid', `${folder} has no .md files.`);
  if (files.length > MAX_DOCUMENTS) {
    throw new AppError('invalid', `${folder} has more than ${MAX_DOCUMENTS} documents.`);
  }
  const documents: JudgedDocument[] = [];
  for (const file of files) {
    const id = file.slice(0, -'.md'.length);
    documents.push({ id, title: id.replaceAll('_', ' '), text: await readBounded(join(folder, file)) });
  }
  return documents;
}

async function readBounded(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > MAX_FILE_BYTES)
      throw new AppError('invalid', `${path} is larger than ${MAX_FILE_BYTES} bytes.`);
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await readFile(path));
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw new AppError('invalid', `${path} cannot be read as UTF-8 text.`, { cause });
  }
}

type Report = (line: number, message: string) => void;

function readQuestions(csv: string, documents: readonly JudgedDocument[], report: Report): JudgedQuestion[] {
  const [header, ...records] = parseCsvOrReport(csv, report);
  const columns = COLUMNS.map((name) => header?.fields.indexOf(name) ?? -1);
  const [questionColumn = -1, referencesColumn = -1, corpusColumn = -1] = columns;
  if (columns.includes(-1)) {
    report(1, `the header must name the columns ${COLUMNS.join(', ')}`);
    return [];
  }
  if (records.length === 0) report(1, 'there are no questions');
  if (records.length > MAX_QUESTIONS) {
    report(1, `more than ${MAX_QUESTIONS} questions`);
    return [];
  }

  const byId = new Map(
    documents.map((document) => [document.id, { document, toUnits: unitsOf(document.text) }]),
  );
  const questions: JudgedQuestion[] = [];
  for (const [index, { line, fields }] of records.entries()) {
    const question = (fields[questionColumn] ?? '').trim();
    const corpus = byId.get(fields[corpusColumn] ?? '');
    if (question === '') report(line, 'the question is empty');
    if (!corpus) {
      report(line, `there is no corpora/${fields[corpusColumn] ?? ''}.md`);
      continue;
    }
    const evidence = readEvidence(fields[referencesColumn] ?? '', corpus, (message) => report(line, message));
    questions.push({ id: `q${index + 1}`, question, documentId: corpus.document.id, evidence });
  }
  return questions;
}

function parseCsvOrReport(csv: string, report: Report) {
  try {
    return parseCsv(csv);
  } catch (error) {
    report(1, error instanceof Error ? error.message : String(error));
    return [];
  }
}

interface Corpus {
  readonly document: JudgedDocument;
  readonly toUnits: (codePoints: number) => number;
}

function readEvidence(
  json: string,
  { document, toUnits }: Corpus,
  report: (message: string) => void,
): Span[] {
  const parsed = referencesSchema.safeParse(parseJson(json));
  if (!parsed.success) {
    report('references must be a JSON list of {content, start_index, end_index} with at least one entry');
    return [];
  }
  const spans: Span[] = [];
  for (const { content, start_index, end_index } of parsed.data) {
    const span = { start: toUnits(start_index), end: toUnits(end_index) };
    const found = document.text.slice(span.start, span.end);
    if (start_index >= end_index || span.end > document.text.length) {
      report(`characters ${start_index} to ${end_index} do not lie in corpora/${document.id}.md`);
    } else if (content !== undefined && content !== found) {
      report(`characters ${start_index} to ${end_index} of corpora/${document.id}.md are not "content"`);
    } else {
      spans.push(span);
    }
  }
  return spans.sort((a, b) => a.start - b.start || a.end - b.end);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** From a count of code points to one of UTF-16 units; the same number unless the text has astral characters. */
function unitsOf(text: string): (codePoints: number) => number {
  if (!/[\u{10000}-\u{10ffff}]/u.test(text)) return (codePoints) => codePoints;
  const starts: number[] = [];
  for (let at = 0; at < text.length; at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1) starts.push(at);
  starts.push(text.length);
  return (codePoints) => starts[codePoints] ?? text.length + 1;
}

function invalid(folder: string, problems: readonly FieldProblem[]): AppError {
  const more = problems.length - MAX_PROBLEMS;
  const detail = `The judged set in ${folder} has ${problems.length} problem(s)${more > 0 ? `, the first ${MAX_PROBLEMS} are listed` : ''}.`;
  return new AppError('invalid', detail, { errors: problems.slice(0, MAX_PROBLEMS) });
}
