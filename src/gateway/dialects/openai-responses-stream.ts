import { estimateTokensOfBytes } from '../../costs/index.ts';
import type { ReplyFacts, StreamReader } from '../model-call.ts';
import { readOpenAiUsage } from '../usage/openai-usage.ts';
import { stringLength } from './event-members.ts';
import { findMembers, lastSpan } from './json-spans.ts';
import { responseModel } from './openai-reply.ts';
import { parseJson } from './parse-json.ts';

/** Events that announce what is to come: nothing of the answer is in them. */
const announcements = new Set([
  'response.created',
  'response.in_progress',
  'response.queued',
  'response.output_item.added',
  'response.content_part.added',
  'response.reasoning_summary_part.added',
  'keepalive',
]);

/**
 * Reads the events of a stream of the Responses API (https://platform.openai.com/docs/api-reference/responses-streaming).
 * Each names its type in its first line, so only the first and the last are looked into any further: all others are
 * tokens of the answer. There is no mark behind the last one.
 */
export class ResponsesStreamReader implements StreamReader {
  finished = false;
  failed = false;
  #begun = false;
  #model: string | null = null;
  #rawUsage: string | null = null;
  #writtenEvents = 0;
  #writtenBytes = 0;

  read(event: string): 'pass' | 'hold' | 'end' {
    const type = typeOf(event);
    if (type.endsWith('.delta')) {
      this.#begun = true;
      this.#countWritten(event);
      return 'pass';
    }
    switch (type) {
      case 'response.completed':
      case 'response.incomplete':
        this.#readResponse(event);
        this.finished = true;
        return 'end';
      case 'response.failed':
        this.#readResponse(event);
        this.failed = true;
        // Before the answer has begun another target can take over; behind it, the caller is to know.
        return this.#begun ? 'pass' : 'hold';
      case 'error':
        this.failed = true;
        return this.#begun ? 'pass' : 'hold';
      case 'response.created':
        this.#readResponse(event);
        return 'hold';
    }
    if (!this.#begun && (type === '' || announcements.has(type))) return 'hold';
    this.#begun = true;
    return 'pass';
  }

  facts(): ReplyFacts {
    const rawUsage = this.#rawUsage;
    return {
      model: this.#model,
      rawUsage,
      usage: rawUsage === null ? null : readOpenAiUsage(JSON.parse(rawUsage)),
      // Most deltas are a token; some are several, which the bytes tell.
      estimateOutputTokens: () => Math.max(this.#writtenEvents, estimateTokensOfBytes(this.#writtenBytes)),
    };
  }

  /** The response as it is so far: who answers, and at the end what it came to. */
  #readResponse(event: string): void {
    const bytes = Buffer.from(dataOf(event), 'latin1');
    const response = lastSpan(findMembers(bytes, ['response']), 'response');
    if (!response) return;
    const members = findMembers(bytes, ['model', 'usage'], response.start);
    const model = lastSpan(members, 'model');
    if (model) this.#model = responseModel(parsed(bytes.subarray(model.start, model.end))) ?? this.#model;
    const usage = lastSpan(members, 'usage');
    const raw = usage && bytes.subarray(usage.start, usage.end);
    if (raw && readOpenAiUsage(parsed(raw)) !== null) this.#rawUsage = raw.toString('utf8');
  }

  #countWritten(event: string): void {
    const length = stringLength(event, '"delta"', 0);
    if (length === 0) return;
    this.#writtenEvents++;
    this.#writtenBytes += length;
  }
}

/** From the event's own line, or from the data of servers that send none. Empty for a comment. */
function typeOf(event: string): string {
  if (event.startsWith('event:')) {
    const end = event.indexOf('\n');
    return event.slice(6, end < 0 ? undefined : end).trim();
  }
  const data = dataOf(event);
  if (data === '') return '';
  const bytes = Buffer.from(data, 'latin1');
  const span = lastSpan(findMembers(bytes, ['type']), 'type');
  const type = span ? parsed(bytes.subarray(span.start, span.end)) : null;
  return typeof type === 'string' ? type : '';
}

function dataOf(event: string): string {
  if (event.startsWith('data:')) return event.slice(5);
  const at = event.indexOf('\ndata:');
  return at < 0 ? '' : event.slice(at + 6);
}

function parsed(bytes: Buffer): unknown {
  try {
    return parseJson(bytes);
  } catch {
    return null;
  }
}
