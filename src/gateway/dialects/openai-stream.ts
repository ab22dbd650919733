import { estimateTokensOfBytes } from '../../costs/index.ts';
import type { JsonObject } from '../json-object.ts';
import type { ReplyFacts, StreamReader } from '../model-call.ts';
import { readOpenAiUsage } from '../usage/openai-usage.ts';
import { memberOpens, membersOf, stringLength } from './event-members.ts';
import { lastSpan } from './json-spans.ts';
import { responseModel } from './openai-reply.ts';
import { carriesAnswer } from './openai-stream-opening.ts';
import { parseJson } from './parse-json.ts';

/** Members that carry what a model wrote. */
const writtenMembers = ['"content"', '"arguments"', '"reasoning_content"', '"reasoning"', '"refusal"'];

/**
 * Reads the events of a chat stream (https://platform.openai.com/docs/api-reference/chat-streaming). Only the first
 * event and the one with the usage are parsed; the others are searched for what matters, because every token of every
 * stream passes here.
 */
export class OpenAiStreamReader implements StreamReader {
  finished = false;
  failed = false;
  readonly #hidesUsageEvent: boolean;
  /** Something of the answer has come; from here on nobody else can take over. */
  #begun = false;
  #model: string | null = null;
  #rawUsage: string | null = null;
  #events = 0;
  #writtenEvents = 0;
  #writtenBytes = 0;

  constructor(hidesUsageEvent: boolean) {
    this.#hidesUsageEvent = hidesUsageEvent;
  }

  read(event: string): 'pass' | 'hold' | 'drop' | 'end' {
    if (!event.startsWith('data:')) {
      const data = event.indexOf('\ndata:');
      if (data >= 0) return this.read(event.slice(data + 1));
      return this.#begun ? 'pass' : 'hold';
    }
    const verdict = this.#understand(event);
    if (this.#begun || verdict !== 'pass') return verdict;
    this.#begun = !this.failed && carriesAnswer(chunkOf(event));
    return this.#begun ? 'pass' : 'hold';
  }

  #understand(event: string): 'pass' | 'drop' | 'end' {
    if (event.startsWith('[DONE]', event.charCodeAt(5) === 0x20 ? 6 : 5)) {
      this.finished = true;
      return 'end';
    }
    if (this.#events++ === 0) this.#readFirst(event);
    const choices = event.indexOf('"choices"');
    if (choices >= 0) {
      this.#countWritten(event, choices);
      if (memberOpens(event, '"finish_reason"', '"', choices)) this.finished = true;
    } else if (memberOpens(event, '"error"', '{', 0)) {
      this.failed = true;
    }
    return memberOpens(event, '"usage"', '{', 0) ? this.#readUsage(event) : 'pass';
  }

  facts(): ReplyFacts {
    const rawUsage = this.#rawUsage;
    return {
      model: this.#model,
      rawUsage,
      usage: rawUsage === null ? null : readOpenAiUsage(JSON.parse(rawUsage)),
      // Most servers send a token an event; some send several, which the bytes tell.
      estimateOutputTokens: () => Math.max(this.#writtenEvents, estimateTokensOfBytes(this.#writtenBytes)),
    };
  }

  #readFirst(event: string): void {
    const { bytes, members } = membersOf(event, ['model']);
    const span = lastSpan(members, 'model');
    if (span) this.#model = responseModel(parsed(bytes.subarray(span.start, span.end)));
  }

  /** The usage event has no choices; a last event that has both is the caller's, too. */
  #readUsage(event: string): 'pass' | 'drop' {
    const { bytes, members } = membersOf(event, ['usage', 'choices']);
    const usage = lastSpan(members, 'usage');
    const raw = usage && bytes.subarray(usage.start, usage.end);
    if (raw && readOpenAiUsage(parsed(raw)) !== null) this.#rawUsage = raw.toString('utf8');
    const choices = lastSpan(members, 'choices');
    const empty =
      choices !== undefined && /^\[\s*\]$/.test(bytes.toString('latin1', choices.start, choices.end));
    return this.#hidesUsageEvent && empty ? 'drop' : 'pass';
  }

  /** Counts the first text in an event: a server sends content, reasoning or arguments in it, one at a time. */
  #countWritten(event: string, choices: number): void {
    for (const member of writtenMembers) {
      const length = stringLength(event, member, choices);
      if (length === 0) continue;
      this.#writtenEvents++;
      this.#writtenBytes += length;
      return;
    }
  }
}

/** @throws SyntaxError when it is not JSON. */
function chunkOf(event: string): JsonObject {
  const data = event.split(/\r?\n/).filter((line) => line.startsWith('data:'));
  const text = data.map((line) => line.slice(5)).join('\n');
  const chunk = text.trimStart().startsWith('{') ? parseJson(Buffer.from(text, 'latin1')) : null;
  return typeof chunk === 'object' && chunk !== null ? (chunk as JsonObject) : {};
}

function parsed(bytes: Buffer): unknown {
  try {
    return parseJson(bytes);
  } catch {
    return null;
  }
}
