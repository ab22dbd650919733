import { estimateTokensOfBytes } from '../../costs/index.ts';
import type { ReplyFacts, StreamReader } from '../model-call.ts';
import { findMembers, lastSpan } from './json-spans.ts';
import { responseModel } from './openai-reply.ts';
import { readOpenAiUsage } from './openai-usage.ts';

/** Members that carry what a model wrote. */
const writtenMembers = ['"content"', '"arguments"', '"reasoning_content"', '"reasoning"', '"refusal"'];

/**
 * Reads the events of a chat stream (https://platform.openai.com/docs/api-reference/chat-streaming). Only the first
 * event and the one with the usage are parsed; the others are searched for what matters, because every token of every
 * stream passes here. A quotation mark inside a text is escaped, so `"usage":{` can only be a member.
 */
export class OpenAiStreamReader implements StreamReader {
  finished = false;
  failed = false;
  readonly #hidesUsageEvent: boolean;
  #model: string | null = null;
  #rawUsage: string | null = null;
  #events = 0;
  #writtenEvents = 0;
  #writtenBytes = 0;

  constructor(hidesUsageEvent: boolean) {
    this.#hidesUsageEvent = hidesUsageEvent;
  }

  read(event: string): 'pass' | 'drop' | 'end' {
    if (!event.startsWith('data:')) {
      const data = event.indexOf('\ndata:');
      return data < 0 ? 'pass' : this.read(event.slice(data + 1));
    }
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
    if (span) this.#model = responseModel(parsed(bytes.toString('utf8', span.start, span.end)));
  }

  /** The usage event has no choices; a last event that has both is the caller's, too. */
  #readUsage(event: string): 'pass' | 'drop' {
    const { bytes, members } = membersOf(event, ['usage', 'choices']);
    const usage = lastSpan(members, 'usage');
    const raw = usage ? bytes.toString('utf8', usage.start, usage.end) : '';
    if (readOpenAiUsage(parsed(raw)) !== null) this.#rawUsage = raw;
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

/** Where the value of the first such member behind `from` begins, or -1. */
function valueAt(event: string, member: string, from: number): number {
  for (let at = event.indexOf(member, from); at >= 0; at = event.indexOf(member, at + 1)) {
    let next = skipSpaces(event, at + member.length);
    // The same text as a value, such as {"content":"usage"}, is not followed by a colon.
    if (event.charCodeAt(next) !== 0x3a) continue;
    next = skipSpaces(event, next + 1);
    return next;
  }
  return -1;
}

function memberOpens(event: string, member: string, opening: string, from: number): boolean {
  const at = valueAt(event, member, from);
  return at >= 0 && event[at] === opening;
}

/** Length of a member's string value as it is written, 0 when it is none. */
function stringLength(event: string, member: string, from: number): number {
  const at = valueAt(event, member, from);
  if (at < 0 || event.charCodeAt(at) !== 0x22) return 0;
  let end = at + 1;
  for (; end < event.length; end++) {
    const code = event.charCodeAt(end);
    if (code === 0x5c) end++;
    else if (code === 0x22) break;
  }
  return end - at - 1;
}

function skipSpaces(event: string, from: number): number {
  let at = from;
  while (event.charCodeAt(at) === 0x20) at++;
  return at;
}

function membersOf(event: string, wanted: readonly string[]) {
  const bytes = Buffer.from(event.slice(event.indexOf(':') + 1), 'latin1');
  return { bytes, members: findMembers(bytes, wanted) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
