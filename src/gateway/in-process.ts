import { noUsage, type TokenUsage } from '../costs/index.ts';
import { AppError } from '../platform/errors.ts';
import type { NewId } from '../platform/ids.ts';
import type { PreferredTier } from '../routing/index.ts';
import type { AnsweredCall, CallModel } from './call-model.ts';
import { Cancellation } from './cancellation.ts';
import { openAiChat } from './dialects/openai-chat.ts';
import { openAiEmbeddings } from './dialects/openai-embeddings.ts';
import { ownChatRequest, ownEmbeddingsRequest } from './dialects/openai-own-request.ts';
import { ChatText, readChatCompletion, readEmbeddings } from './dialects/openai-read.ts';
import { forNothing } from './made-for.ts';
import type { Caller, GeneratedBy, MadeFor, ModelCall, StreamSink } from './model-call.ts';

/** A caller in this process; `signal` ends the call. */
export interface InProcessCaller extends Caller {
  readonly signal?: AbortSignal | undefined;
  readonly madeFor?: MadeFor | undefined;
}

export interface ChatRequest {
  /** A route's name, or `provider/model`. */
  readonly model: string;
  readonly messages: readonly { readonly role: 'system' | 'user' | 'assistant'; readonly content: string }[];
  readonly maxTokens?: number;
  readonly temperature?: number;
  /** The tier to begin with, where the route has it. */
  readonly prefer?: PreferredTier | undefined;
}

export interface ChatAnswer {
  readonly text: string;
  /** As the provider says it: `stop`, `length`, …; null when it did not. */
  readonly finishReason: string | null;
  readonly usage: TokenUsage;
  readonly costNanoUsd: bigint | null;
  readonly pricing: 'priced' | 'unpriced';
  readonly generatedBy: GeneratedBy;
}

export interface EmbedRequest {
  readonly model: string;
  /** Texts, none of them empty; at most 10,000. */
  readonly inputs: readonly string[];
  readonly dimensions?: number;
}

export interface Embeddings {
  /** One vector for each input, in their order, all of one length. */
  readonly vectors: Float32Array[];
  /** As the provider names it. */
  readonly model: string;
  readonly usage: { readonly inputTokens: number };
  /** Null when a call had no price. */
  readonly costNanoUsd: bigint | null;
}

export interface InProcessModels {
  /**
   * Asks a chat model on a caller's behalf. With `onText` the answer is streamed, and each piece is given there as it
   * comes. The caller needs `queries:run`.
   * @throws AppError as the HTTP routes do; `upstream_rejected` with the provider's reason when it refuses the request.
   */
  chat(caller: InProcessCaller, request: ChatRequest, onText?: (text: string) => void): Promise<ChatAnswer>;
  /**
   * Turns texts into vectors, batch by batch. The caller needs `queries:run` or `documents:write`.
   * @throws AppError as `chat` does; `invalid` above 10,000 inputs.
   */
  embed(caller: InProcessCaller, request: EmbedRequest): Promise<Embeddings>;
}

const maxInputs = 10_000;
/** Below what providers take in one request: OpenAI 2,048 inputs and 300,000 tokens, others 96 to 128 inputs. */
const maxBatchInputs = 96;
const maxBatchLength = 200_000;

export function createInProcessModels(deps: {
  readonly callModel: CallModel;
  readonly newId: NewId;
}): InProcessModels {
  const call = async (
    caller: InProcessCaller,
    asked: Pick<ModelCall, 'permission' | 'model' | 'streamed' | 'dialect' | 'request' | 'prefer'>,
    sink: StreamSink,
  ): Promise<AnsweredCall> => {
    const cancellation = new Cancellation();
    const onAbort = () => cancellation.cancel('client');
    if (caller.signal?.aborted) onAbort();
    caller.signal?.addEventListener('abort', onAbort, { once: true });
    try {
      const madeFor = caller.madeFor ?? forNothing;
      return await deps.callModel(
        { id: deps.newId(), caller, cancellation, madeFor, entry: null, ...asked },
        sink,
      );
    } finally {
      caller.signal?.removeEventListener('abort', onAbort);
    }
  };

  const embedBatch = async (caller: InProcessCaller, asked: EmbedRequest, inputs: readonly string[]) => {
    const permission = caller.principal.permissions.has('queries:run') ? 'queries:run' : 'documents:write';
    const { model, dimensions } = asked;
    const request = ownEmbeddingsRequest({ model, inputs, dimensions });
    const dialect = openAiEmbeddings;
    const answered = await call(caller, { permission, model, streamed: false, dialect, request }, noStream);
    return { ...readEmbeddings(answered, inputs.length), settled: answered.settled };
  };

  return {
    async chat(caller, asked, onText) {
      const text = new ChatText(onText ?? (() => {}));
      const streamed = onText !== undefined;
      const { prefer, ...body } = asked;
      const request = ownChatRequest({ ...body, stream: streamed });
      const answered = await call(
        caller,
        { permission: 'queries:run', model: asked.model, streamed, dialect: openAiChat, request, prefer },
        text,
      );
      const { answer, settled } = answered;
      if (answer.kind === 'whole') text.take(readChatCompletion(answered));
      else if (answer.error) throw answer.error;
      else text.write(answer.tail);
      return {
        text: text.all(),
        finishReason: text.finishReason,
        usage: settled?.usage ?? noUsage,
        costNanoUsd: settled ? settled.costNanoUsd : 0n,
        pricing: settled?.pricing ?? 'priced',
        generatedBy: answer.generatedBy,
      };
    },

    async embed(caller, asked) {
      if (asked.inputs.length > maxInputs) {
        throw new AppError('invalid', `At most ${maxInputs} texts are embedded at once.`);
      }
      const vectors: Float32Array[] = [];
      let model = asked.model;
      let inputTokens = 0;
      let costNanoUsd: bigint | null = 0n;
      for (const batch of batchesOf(asked.inputs)) {
        const reply = await embedBatch(caller, asked, batch);
        vectors.push(...reply.vectors);
        model = reply.model ?? model;
        inputTokens += reply.settled?.usage.inputTokens ?? 0;
        const cost: bigint | null = reply.settled ? reply.settled.costNanoUsd : 0n;
        costNanoUsd = costNanoUsd === null || cost === null ? null : costNanoUsd + cost;
      }
      return { vectors, model, usage: { inputTokens }, costNanoUsd };
    },
  };
}

/** Cuts a list into batches of bounded count and length; a single longer text is a batch of its own. */
function batchesOf(inputs: readonly string[]): string[][] {
  const batches: string[][] = [];
  let length = 0;
  for (const input of inputs) {
    const current = batches.at(-1);
    if (current && current.length < maxBatchInputs && length + input.length <= maxBatchLength) {
      current.push(input);
      length += input.length;
    } else {
      batches.push([input]);
      length = input.length;
    }
  }
  return batches;
}

const noStream: StreamSink = { open() {}, write: () => true };
