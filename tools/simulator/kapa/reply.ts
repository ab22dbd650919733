import type { Saying } from '../model-call.ts';
import type { Bill, StreamFrame, StreamReply } from '../send.ts';

export interface KapaSource {
  readonly source_url: string;
  readonly title: string;
  readonly contains_internal_data: boolean;
}

export interface KapaReply {
  readonly saying: Saying;
  readonly threadId: string;
  readonly questionAnswerId: string;
  readonly isUncertain: boolean;
  readonly sources: readonly KapaSource[];
  readonly bill: Bill;
}

/** Between the chunks of a stream stands this visible sign, not a control character. */
const separator = '\u241E';

/** The body of a whole reply. */
export function answerJson(reply: KapaReply): string {
  return JSON.stringify({
    answer: textOf(reply.saying),
    thread_id: reply.threadId,
    question_answer_id: reply.questionAnswerId,
    is_uncertain: reply.isUncertain,
    relevant_sources: reply.sources,
  });
}

/** The reply in chunks: the answer in pieces, its sources, whether it is uncertain, and at last the ids. */
export function answerStream(reply: KapaReply): StreamReply {
  return {
    contentType: 'application/json',
    pieces: reply.saying.pieces.length,
    frames: chunks(reply),
    bill: reply.bill,
    malformed: () => `{"chunk":{"type":"partial_ans${separator}`,
    errorFrame: ({ message }) => chunk('error', { reason: message }, true),
  };
}

function* chunks({
  saying,
  sources,
  isUncertain,
  threadId,
  questionAnswerId,
}: KapaReply): Generator<StreamFrame> {
  const { pieces, tokens } = saying;
  for (const [nth, text] of pieces.entries()) {
    const made = Math.round((tokens * (nth + 1)) / pieces.length);
    yield { data: chunk('partial_answer', { text }), carries: 'content', tokens: made };
  }
  const told = chunk('relevant_sources', { relevant_sources: sources });
  yield { data: told, carries: 'finish', tokens };
  yield { data: chunk('metadata', { is_uncertain: isUncertain }), carries: 'start', tokens };
  const ids = { thread_id: threadId, question_answer_id: questionAnswerId };
  yield { data: chunk('identifiers', ids, true), carries: 'done', tokens };
}

function chunk(type: string, content: object, end = false): string {
  return `${JSON.stringify({ chunk: { type, content, stream_end: end } })}${separator}`;
}

function textOf({ answer }: Saying): string {
  return answer.kind === 'text' ? answer.text : answer.argumentsJson;
}
