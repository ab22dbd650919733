import { estimateTokensOfBytes } from '../../costs/index.ts';
import type { JsonObject } from '../json-object.ts';
import type { ReplyFacts, StreamReader } from '../model-call.ts';
import { mergeAnthropicUsage, readAnthropicUsage } from '../usage/anthropic-usage.ts';
import { recordOf } from '../usage/token-counts.ts';
import { stringLength } from './event-members.ts';
import { responseModel } from './openai-reply.ts';
import { parseJson } from './parse-json.ts';

/** Members of a delta that carry what a model wrote; a delta has one of them. */
const writtenMembers = ['"text"', '"partial_json"', '"thinking"'];

/** Blocks that begin empty: their content comes in deltas, so nothing of the answer is in their start. */
const emptyBlocks = new Set(['text', 'thinking']);

/**
 * Reads the events of a message stream (https://platform.claude.com/docs/en/build-with-claude/streaming). Each names
 * itself in its first line, and only the few around the content are parsed: every token of every stream passes here.
 */
export class AnthropicStreamReader implements StreamReader {
  finished = false;
  failed = false;
  #begun = false;
  #model: string | null = null;
  #usage: JsonObject | null = null;
  /** The provider told how much it wrote; before that its counts are of the input only. */
  #outputTold = false;
  #writtenEvents = 0;
  #writtenBytes = 0;

  read(event: string): 'pass' | 'hold' | 'end' {
    switch (typeOf(event)) {
      case 'content_block_delta':
        this.#countWritten(event);
        this.#begun = true;
        return 'pass';
      case 'message_start':
        this.#readStart(parsedData(event));
        return this.#unlessBegun();
      case 'content_block_start':
        this.#begun ||= !emptyBlocks.has(String(recordOf(parsedData(event).content_block).type));
        return this.#unlessBegun();
      case 'message_delta':
        this.#readDelta(parsedData(event));
        this.#begun = true;
        return 'pass';
      case 'message_stop':
        this.finished = true;
        return 'end';
      case 'error':
        this.failed = true;
        return this.#unlessBegun();
      default:
        // A ping, the end of a block, or an event that is not known yet.
        return this.#unlessBegun();
    }
  }

  facts(): ReplyFacts {
    const usage = readAnthropicUsage(this.#usage);
    const estimateOutputTokens = () =>
      Math.max(this.#writtenEvents, estimateTokensOfBytes(this.#writtenBytes));
    const told = { model: this.#model, rawUsage: usage === null ? null : JSON.stringify(this.#usage) };
    if (usage === null || this.#outputTold) return { ...told, usage, estimateOutputTokens };
    // Cut off on its way: what went in is known from the start, what was written is not.
    const outputTokens = Math.max(usage.outputTokens, estimateOutputTokens());
    return { ...told, usage: { ...usage, outputTokens }, outputEstimated: true, estimateOutputTokens };
  }

  #unlessBegun(): 'pass' | 'hold' {
    return this.#begun ? 'pass' : 'hold';
  }

  #readStart(data: JsonObject): void {
    const message = recordOf(data.message);
    this.#model = responseModel(message.model);
    this.#usage = mergeAnthropicUsage(null, recordOf(message.usage));
  }

  #readDelta(data: JsonObject): void {
    const usage = recordOf(data.usage);
    this.#usage = mergeAnthropicUsage(this.#usage, usage);
    this.#outputTold ||= typeof usage.output_tokens === 'number';
    this.finished ||= typeof recordOf(data.delta).stop_reason === 'string';
  }

  #countWritten(event: string): void {
    const delta = Math.max(0, event.indexOf('"delta"'));
    for (const member of writtenMembers) {
      const length = stringLength(event, member, delta);
      if (length === 0) continue;
      this.#writtenEvents++;
      this.#writtenBytes += length;
      return;
    }
  }
}

/** The type that an event gives itself in its `event:` line or, where a server leaves that out, in its data. */
function typeOf(event: string): string {
  if (event.startsWith('event:')) return lineValue(event, 6);
  const named = event.indexOf('\nevent:');
  if (named >= 0) return lineValue(event, named + 7);
  const { type } = parsedData(event);
  return typeof type === 'string' ? type : '';
}

function lineValue(event: string, from: number): string {
  const end = event.indexOf('\n', from);
  return event.slice(from, end < 0 ? undefined : end).trim();
}

function parsedData(event: string): JsonObject {
  const at = event.startsWith('data:') ? 0 : event.indexOf('\ndata:') + 1;
  if (!event.startsWith('data:', at)) return {};
  try {
    return recordOf(parseJson(Buffer.from(event.slice(at + 5), 'latin1')));
  } catch {
    return {};
  }
}
