import {
  APICallError,
  type LanguageModelV4,
  type LanguageModelV4CallOptions,
  type LanguageModelV4Content,
  type LanguageModelV4FinishReason,
  type LanguageModelV4Source,
  type LanguageModelV4StreamPart,
  type LanguageModelV4Usage,
  type SharedV4ProviderMetadata,
} from '@ai-sdk/provider';
import type { JsonObject } from '../json-object.ts';
import { recordOf } from '../usage/token-counts.ts';
import { createRecordSplitter } from './kapa-records.ts';

export interface KapaModelOptions {
  readonly baseUrl: string;
  readonly projectId: string;
  readonly fetch: typeof globalThis.fetch;
}

/** Kapa charges by the answer and tells no tokens. */
const unknownUsage: LanguageModelV4Usage = {
  inputTokens: { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: undefined, text: undefined, reasoning: undefined },
};
const answered: LanguageModelV4FinishReason = { unified: 'stop', raw: 'answered' };

/**
 * Kapa.ai's answers (https://docs.kapa.ai/api/reference/query-v-1-projects-chat) as a model: it is asked one question
 * and answers from a project's documentation, naming its sources. A conversation goes on in a thread of Kapa's own.
 */
export function createKapaModel({ baseUrl, projectId, fetch: send }: KapaModelOptions): LanguageModelV4 {
  const ask = async (options: LanguageModelV4CallOptions, ending: '' | 'stream/'): Promise<Response> => {
    const thread = threadOf(options);
    const place = thread === null ? `projects/${encodeURIComponent(projectId)}` : `threads/${thread}`;
    const url = `${baseUrl}/query/v1/${place}/chat/${ending}`;
    const body = { query: questionOf(options) };
    const response = await send(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify(body),
    });
    if (response.ok) return response;
    throw await refusal(response, url, body);
  };

  return {
    specificationVersion: 'v4',
    provider: 'kapa',
    modelId: projectId,
    supportedUrls: {},

    async doGenerate(options) {
      const response = await ask(options, '');
      const reply = recordOf(await response.json());
      if (typeof reply.answer !== 'string') throw new Error('the reply has no answer');
      const content: LanguageModelV4Content[] = [{ type: 'text', text: reply.answer }, ...sourcesOf(reply)];
      return {
        content,
        finishReason: answered,
        usage: unknownUsage,
        providerMetadata: metadataOf(reply),
        response: { headers: Object.fromEntries(response.headers), body: reply },
        warnings: [],
      };
    },

    async doStream(options) {
      const response = await ask(options, 'stream/');
      if (response.body === null) throw new Error('the reply has no body');
      const parts = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(partsOfRecords());
      return { stream: parts };
    },
  };
}

/** The thread to go on in, as `kapa.ts` puts it into the options. */
function threadOf({ providerOptions }: LanguageModelV4CallOptions): string | null {
  const { threadId } = recordOf(providerOptions?.kapa);
  return typeof threadId === 'string' ? encodeURIComponent(threadId) : null;
}

function questionOf({ prompt }: LanguageModelV4CallOptions): string {
  const last = prompt.at(-1);
  if (last?.role !== 'user') return '';
  return last.content.map((part) => (part.type === 'text' ? part.text : '')).join('\n');
}

/** A stream of records: sources, pieces of the answer, and what thread and answer are called. */
function partsOfRecords(): TransformStream<string, LanguageModelV4StreamPart> {
  const split = createRecordSplitter();
  let metadata: SharedV4ProviderMetadata | undefined;
  let wrote = false;
  return new TransformStream<string, LanguageModelV4StreamPart>({
    start(controller) {
      controller.enqueue({ type: 'stream-start', warnings: [] });
    },
    transform(text, controller) {
      for (const record of split(text)) {
        const { type, content } = recordOf(record.chunk ?? record);
        const given = recordOf(content);
        if (type === 'partial_answer' && typeof given.text === 'string') {
          if (!wrote) controller.enqueue({ type: 'text-start', id: '0' });
          wrote = true;
          controller.enqueue({ type: 'text-delta', id: '0', delta: given.text });
        } else if (type === 'relevant_sources') {
          for (const source of sourcesOf(given)) controller.enqueue(source);
        } else if (type === 'identifiers') {
          metadata = metadataOf(given);
        } else if (type === 'error') {
          controller.enqueue({ type: 'error', error: new Error(wordsOf(given) ?? 'Kapa failed.') });
        }
      }
    },
    flush(controller) {
      if (wrote) controller.enqueue({ type: 'text-end', id: '0' });
      // The identifiers come last: without them the answer was cut off.
      const finishReason = metadata ? answered : { unified: 'interrupted' as const, raw: undefined };
      const last = { type: 'finish' as const, finishReason, usage: unknownUsage };
      controller.enqueue(metadata ? { ...last, providerMetadata: metadata } : last);
    },
  });
}

function sourcesOf(reply: JsonObject): LanguageModelV4Source[] {
  const given = Array.isArray(reply.relevant_sources) ? reply.relevant_sources.map(recordOf) : [];
  return given.flatMap(({ source_url: url, title }, index): LanguageModelV4Source[] => {
    if (typeof url !== 'string') return [];
    const source = { type: 'source' as const, sourceType: 'url' as const, id: String(index), url };
    return [typeof title === 'string' ? { ...source, title } : source];
  });
}

function metadataOf(reply: JsonObject): SharedV4ProviderMetadata {
  const kapa: Record<string, string | boolean> = {};
  if (typeof reply.thread_id === 'string') kapa.threadId = reply.thread_id;
  if (typeof reply.question_answer_id === 'string') kapa.questionAnswerId = reply.question_answer_id;
  if (typeof reply.is_uncertain === 'boolean') kapa.isUncertain = reply.is_uncertain;
  return { kapa };
}

async function refusal(response: Response, url: string, body: object): Promise<APICallError> {
  const responseBody = await response.text();
  let data: unknown;
  try {
    data = JSON.parse(responseBody);
  } catch {
    data = null;
  }
  return new APICallError({
    message: wordsOf(recordOf(data)) ?? `Kapa answered with ${response.status}.`,
    url,
    requestBodyValues: body,
    statusCode: response.status,
    responseHeaders: Object.fromEntries(response.headers),
    responseBody,
    data,
  });
}

function wordsOf({ detail, reason, message }: JsonObject): string | null {
  const words = [detail, reason, message].find((value) => typeof value === 'string');
  return typeof words === 'string' ? words : null;
}
