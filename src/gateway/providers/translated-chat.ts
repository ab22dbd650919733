import type {
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4FinishReason,
  LanguageModelV4StreamPart,
} from '@ai-sdk/provider';
import { estimateTokens, estimateTokensOfBytes } from '../../costs/index.ts';
import type { JsonObject } from '../json-object.ts';
import type { ReplyFacts } from '../model-call.ts';
import { problemsOf } from '../translation/call-limits.ts';
import { rehearse } from '../translation/rehearse.ts';
import { withToolFilesApart } from '../translation/tool-files.ts';
import type { ChatTranslation } from '../translation/translation.ts';
import { recordOf } from '../usage/token-counts.ts';
import type { UsageReader } from '../usage/usage-reader.ts';
import { ExchangeFailed } from './provider-fetch.ts';
import { refusalBehind } from './provider-refused.ts';
import { providerWires } from './provider-wires.ts';
import { type Asked, factsOf, orRefusal, refusedFields } from './translated-call.ts';

/**
 * Asks a chat model through its provider package, and gives what it says to the receiver in the call's dialect.
 * @throws AppError `invalid` naming what the provider cannot be asked for, before anything is sent; ProviderRefused;
 *   or whatever broke the exchange.
 */
export async function askChat(asked: Asked, translation: ChatTranslation): Promise<void> {
  const { call, target, key, fetch, context } = asked;
  const { provider, model: modelName } = target;
  const wire = providerWires[provider.kind].chat;
  if (wire === null) throw refusedFields(asked, [{ path: 'model', message: 'answers no chats' }]);
  const asIs = translation.readRequest(context.request);
  for (const field of translation.mandatory ?? [])
    if (wire.limits.without.includes(field)) delete asIs[field];
  asIs.prompt = withToolFilesApart(asIs.prompt);
  const options = wire.adapt?.(asIs, modelName, context.request) ?? asIs;
  const connection = { provider, key, model: modelName, fetch: fetch.fetch };
  const names = translation.fieldNames ?? {};
  const problems = problemsOf(options, wire.limits, names, provider.kind, modelName);
  if (problems.length > 0) throw refusedFields(asked, problems);
  const lost = await rehearse(wire, connection, options, names);
  if (lost.length > 0) throw refusedFields(asked, lost);
  if (asked.receiver.aborted) return;
  const model = wire.open(connection);
  if (call.streamed) await stream(asked, translation, model, options, wire.usage);
  else await generate(asked, translation, model, options, wire.usage);
}

async function generate(
  { receiver, context }: Asked,
  translation: ChatTranslation,
  model: LanguageModelV4,
  options: LanguageModelV4CallOptions,
  usage: UsageReader,
): Promise<void> {
  const result = await orRefusal(model.doGenerate(options));
  if (receiver.aborted) return;
  if (!isEnd(result.finishReason)) throw cutOff();
  const raw = usage.inReply(result.response?.body) ?? recordOrNull(result.usage.raw);
  const text = JSON.stringify(result.content);
  const facts = factsOf(result.response?.modelId, raw, usage, () => estimateTokens(text));
  receiver.tellsFacts(() => facts);
  receiver.begin('application/json', result.response?.headers);
  await receiver.write(translation.writeReply(result, context));
}

async function stream(
  { receiver, context, fetch }: Asked,
  translation: ChatTranslation,
  model: LanguageModelV4,
  options: LanguageModelV4CallOptions,
  usage: UsageReader,
): Promise<void> {
  const { stream: parts, response } = await orRefusal(model.doStream({ ...options, includeRawChunks: true }));
  const type = response?.headers?.['content-type'] ?? 'text/event-stream';
  if (!/event-?stream/i.test(type)) throw new Error(`the reply is no stream but ${type}`);
  const writer = translation.openStream(context);
  const told = new StreamFacts(usage);
  receiver.tellsFacts(() => told.facts());
  const write = async (text: string) => {
    if (text === '') return;
    // Not before there is something to say: until then, another target can take over.
    if (!receiver.begun) receiver.begin('text/event-stream; charset=utf-8', response?.headers);
    await receiver.write(Buffer.from(text));
  };
  for await (const part of parts) {
    if (receiver.aborted) return;
    // What comes behind the end is nobody's but for the provider's own account of it.
    if (told.finished && part.type !== 'raw') continue;
    if (part.type === 'error') {
      const refusal = refusalBehind(part.error);
      if (!receiver.begun || refusal === null) throw refusal ?? part.error;
      await write(writer.write(part));
      return;
    }
    told.read(part, fetch.requests > 1);
    if (part.type === 'finish' && !told.finished) throw cutOff();
    await write(writer.write(part));
  }
  if (!told.finished) throw cutOff();
  await write(writer.end());
}

/** Whether the provider said that it was done: the packages end a stream that was cut off with no reason of its own. */
function isEnd({ unified, raw }: LanguageModelV4FinishReason): boolean {
  return (unified !== 'other' || raw !== undefined) && unified !== 'error' && unified !== 'interrupted';
}

/** The same as where the bytes of a dialect that was passed through end too early. */
function cutOff(): ExchangeFailed {
  return new ExchangeFailed({ kind: 'connection', cause: new Error('the reply ended before it was done') });
}

/** Gathers what a stream tells on its way. */
class StreamFacts {
  /** The provider said that it was done. */
  finished = false;
  readonly #usage: UsageReader;
  #model: string | undefined;
  #raw: JsonObject | null = null;
  #writtenBytes = 0;

  constructor(usage: UsageReader) {
    this.#usage = usage;
  }

  read(part: LanguageModelV4StreamPart, severalRequests: boolean): void {
    switch (part.type) {
      case 'raw':
        this.#raw = this.#usage.inChunk(part.rawValue, this.#raw);
        break;
      case 'response-metadata':
        this.#model = part.modelId ?? this.#model;
        break;
      case 'text-delta':
      case 'reasoning-delta':
      case 'tool-input-delta':
        this.#writtenBytes += part.delta.length;
        break;
      case 'finish':
        // A package that asked several times has added up what each reply told.
        if (severalRequests || this.#raw === null) this.#raw = recordOrNull(part.usage.raw) ?? this.#raw;
        this.finished = isEnd(part.finishReason);
    }
  }

  /** @returns what is known so far; of a stream that was cut off, what was written is our own estimate. */
  facts(): ReplyFacts {
    const estimate = () => estimateTokensOfBytes(this.#writtenBytes);
    const facts = factsOf(this.#model, this.#raw, this.#usage, estimate);
    if (this.finished || facts.usage === null) return facts;
    const outputTokens = Math.max(facts.usage.outputTokens, estimate());
    return { ...facts, usage: { ...facts.usage, outputTokens }, outputEstimated: true };
  }
}

function recordOrNull(value: unknown): JsonObject | null {
  return value === undefined || value === null ? null : recordOf(value);
}
