import { z } from 'zod';
import { type Client, createClientFor } from './client.ts';
import { ServerRefusal, ServerUnreachable } from './client-errors.ts';
import type { ServerValues } from './client-options.ts';
import { type CommandContext, exitCodes } from './command.ts';
import { Interrupted } from './interruption.ts';
import type { Output } from './output.ts';

export interface AskValues extends ServerValues {
  readonly model?: string;
  readonly stream?: boolean;
}

const citationView = z.object({
  document_id: z.string(),
  title: z.string(),
  start: z.number(),
  end: z.number(),
  text: z.string(),
});
/** What of an answer is shown; with `--json` all of it is. */
const answerView = z.object({
  answer: z.string(),
  citations: z.array(citationView),
  covered: z.boolean(),
  sentences: z.array(z.object({ text: z.string(), supported: z.boolean() })),
  generated_by: z.object({
    tier: z.string(),
    provider: z.string().nullable(),
    model: z.string().nullable(),
  }),
  cost_usd: z.string().nullable(),
  confidence: z.number(),
  warnings: z.array(z.string()).optional(),
});
type Answer = z.infer<typeof answerView>;

const path = '/api/v1/query';

/** Asks the documents of a running server and shows the answer with what it rests on. */
export async function ask(question: string, values: AskValues, context: CommandContext): Promise<number> {
  const { output } = context;
  const client = createClientFor(values, context.environment, context.clock);
  const signal = context.interruption();
  const body = { query: question, ...(values.model === undefined ? {} : { model: values.model }) };
  const streamed = !output.json && (values.stream ?? output.interactive);
  try {
    const whole = streamed
      ? await streamAnswer(client, body, signal, output)
      : await client.call('POST', path, { body, signal });
    const answer = readAnswer(whole, client.url);
    output.result(whole);
    if (!streamed) output.line(answer.answer);
    showSources(answer, output);
    return answer.covered ? exitCodes.ok : exitCodes.notCovered;
  } catch (error) {
    if (signal.aborted) throw new Interrupted();
    throw error;
  } finally {
    await client.close();
  }
}

/** Shows the answer while it is made. @returns the whole answer. */
async function streamAnswer(
  client: Client,
  body: object,
  signal: AbortSignal,
  output: Output,
): Promise<unknown> {
  for await (const { event, data } of client.stream(path, body, signal)) {
    const value: unknown = JSON.parse(data);
    if (event === 'delta') output.write(deltaView.parse(value).text);
    else if (event === 'restart') output.line(`\n\n${restartView.parse(value).reason}\n`);
    else if (event === 'error') throw brokenOff(value);
    else if (event === 'done') {
      output.line();
      return value;
    }
  }
  throw new ServerUnreachable(`The answer of ${client.url} broke off. Ask again.`);
}

const deltaView = z.object({ text: z.string() });
const restartView = z.object({ reason: z.string() });
const problemView = z.object({
  status: z.number(),
  code: z.string(),
  detail: z.string(),
  correlation_id: z.string(),
});

/** A refusal that comes when the answer has begun. */
function brokenOff(value: unknown): Error {
  const problem = problemView.safeParse(value);
  if (!problem.success) return new ServerUnreachable('The answer broke off.');
  const { status, code, detail, correlation_id } = problem.data;
  return new ServerRefusal(`\n${detail} (${status}, correlation id ${correlation_id})`, {
    status,
    code,
    detail,
    correlationId: correlation_id,
    retryAfterSeconds: null,
  });
}

function readAnswer(whole: unknown, url: string): Answer {
  const answer = answerView.safeParse(whole);
  if (answer.success) return answer.data;
  throw new ServerUnreachable(`What answers at ${url} is not a Gatehouse of this version.`);
}

/** What the answer rests on, and how it was made. */
function showSources(answer: Answer, output: Output): void {
  if (answer.citations.length > 0) {
    output.line();
    output.line('Sources');
    for (const [place, citation] of answer.citations.entries()) {
      const { title, start, end, document_id } = citation;
      const where = output.paint('faint', `characters ${start} to ${end} of ${document_id}`);
      output.line(`  [${place + 1}] ${output.paint('strong', title)}, ${where}`);
    }
  }
  output.line();
  for (const remark of remarksOn(answer)) output.line(output.paint('warning', remark));
  output.line(output.paint('faint', howMade(answer)));
}

function remarksOn(answer: Answer): string[] {
  const unsupported = answer.sentences.filter((sentence) => !sentence.supported);
  return [
    ...(answer.warnings ?? []),
    ...unsupported.map((sentence) => `Not borne out by the sources: ${sentence.text.trim()}`),
  ];
}

function howMade({ generated_by: { tier, provider, model }, confidence, cost_usd }: Answer): string {
  if (model === null) return `Quoted from the sources without a model. Confidence ${confidence}.`;
  const cost = cost_usd === null ? 'cost unknown' : `${cost_usd} US dollars`;
  return `By ${[provider, model].filter(Boolean).join('/')} (${tier}). Confidence ${confidence}, ${cost}.`;
}
