import type { Pairing } from './scenario.ts';

/** What a caller was given, as far as it matters whether it is an answer. */
export interface Reply {
  /**
   * `answered`: whole, and said once. `broken_well`: a stream that had begun and ended with an error event of its
   * dialect. `refused`: an error in place of an answer. `left`: the caller did. `garbled`: anything else.
   */
  readonly kind: 'answered' | 'broken_well' | 'refused' | 'left' | 'garbled';
  /** Ids of the tool calls that it holds. */
  readonly toolCalls: readonly string[];
  /** For a reader of the report. */
  readonly words: string;
}

type Json = Readonly<Record<string, unknown>>;

export function readWhole(dialect: Pairing['dialect'], status: number, text: string): Reply {
  const body = parsed(text);
  if (body === null) return garbled(`${status} ${text.slice(0, 200)}`);
  if (status !== 200) {
    return {
      kind: isError(body) ? 'refused' : 'garbled',
      toolCalls: [],
      words: `${status} ${text.slice(0, 300)}`,
    };
  }
  const done = {
    chat: () => isText(member(body, 'choices', 0, 'finish_reason')),
    responses: () => body.status === 'completed',
    messages: () => isText(body.stop_reason),
  }[dialect]();
  return done ? answered(toolCallsIn(dialect, body)) : garbled(`no end: ${text.slice(0, 200)}`);
}

/** @param text all of a stream's bytes. */
export function readStream(dialect: Pairing['dialect'], text: string): Reply {
  const events = text.split(/\r?\n\r?\n/).flatMap((event) => {
    const data = event
      .split(/\r?\n/)
      .find((line) => line.startsWith('data:'))
      ?.slice(5)
      .trim();
    return data === undefined ? [] : [data];
  });
  const ends = dialect === 'chat' ? events.filter((data) => data !== '[DONE]') : events;
  const bodies = ends.map(parsed);
  if (bodies.includes(null) || !/\n\r?\n$/.test(text)) return garbled(`not whole: ${text.slice(-300)}`);
  const chunks = bodies.filter((body) => body !== null);
  const last = chunks.at(-1) ?? {};
  const ids = new Set(chunks.map((chunk) => idOf(dialect, chunk)).filter(isText));
  if (ids.size > 1) return garbled(`two answers in one: ${[...ids].join(', ')}`);
  if (isError(last) || last.type === 'error' || last.type === 'response.failed') {
    return { kind: 'broken_well', toolCalls: [], words: JSON.stringify(last).slice(0, 300) };
  }
  const done = {
    chat: () => chunks.some((chunk) => isText(member(chunk, 'choices', 0, 'finish_reason'))),
    responses: () => last.type === 'response.completed',
    // Its clients take a reason to stop for the end where the mark is missing.
    messages: () => chunks.some((chunk) => isText(member(chunk, 'delta', 'stop_reason'))),
  }[dialect]();
  if (!done) return garbled(`no end: ${text.slice(-300)}`);
  return answered([...new Set(chunks.flatMap((chunk) => toolCallsIn(dialect, chunk)))]);
}

export function garbled(words: string): Reply {
  return { kind: 'garbled', toolCalls: [], words };
}

function answered(toolCalls: readonly string[]): Reply {
  return { kind: 'answered', toolCalls, words: '' };
}

function idOf(dialect: Pairing['dialect'], chunk: Json): unknown {
  if (dialect === 'chat') return chunk.id;
  return dialect === 'responses' ? member(chunk, 'response', 'id') : member(chunk, 'message', 'id');
}

/** Tool calls of a whole reply or of one event. */
function toolCallsIn(dialect: Pairing['dialect'], body: Json): string[] {
  const items = {
    chat: () =>
      [
        ...list(member(body, 'choices', 0, 'message', 'tool_calls')),
        ...list(member(body, 'choices', 0, 'delta', 'tool_calls')),
      ].map((call) => member(call, 'id')),
    responses: () =>
      [...list(body.output), ...(body.type === 'response.output_item.done' ? [body.item] : [])]
        .filter((item) => member(item, 'type') === 'function_call')
        .map((item) => member(item, 'call_id')),
    messages: () =>
      [...list(body.content), ...(body.type === 'content_block_start' ? [body.content_block] : [])]
        .filter((block) => member(block, 'type') === 'tool_use')
        .map((block) => member(block, 'id')),
  }[dialect]();
  return items.filter(isText);
}

function isError(body: Json): boolean {
  return isText(member(body, 'error', 'message'));
}

function member(value: unknown, ...path: (string | number)[]): unknown {
  return path.reduce<unknown>(
    (at, name) => (typeof at === 'object' && at !== null ? (at as Record<string, unknown>)[name] : undefined),
    value,
  );
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function parsed(text: string): Json | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Json) : null;
  } catch {
    return null;
  }
}
