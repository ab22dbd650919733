import type { LanguageModelV4CallOptions } from '@ai-sdk/provider';
import type { JsonObject } from '../json-object.ts';
import type { FieldRefusal } from '../translation/call-limits.ts';
import { recordOf } from '../usage/token-counts.ts';
import type { UsageReader } from '../usage/usage-reader.ts';
import { createKapaModel } from './kapa-model.ts';
import { keyHeader, type ProviderWire } from './provider-wire.ts';

const noUsage: UsageReader = { inReply: () => null, inChunk: (_chunk, before) => before, read: () => null };

/**
 * Kapa.ai, which answers questions from a project's documentation. It takes the question and nothing else; a follow-up
 * names the thread of the first answer in `metadata.kapa_thread_id`.
 */
export const kapa: ProviderWire = {
  nativePath: () => null,
  authHeaders: keyHeader('x-api-key'),
  chat: {
    open: ({ provider, model, fetch }) =>
      createKapaModel({
        baseUrl: provider.baseUrl,
        projectId: provider.settings.projectId ?? model,
        fetch,
      }),
    adapt: withThread,
    limits: {
      without: [
        'maxOutputTokens',
        'temperature',
        'topP',
        'topK',
        'seed',
        'stopSequences',
        'presencePenalty',
        'frequencyPenalty',
        'responseFormat',
        'reasoning',
        'tools',
        'toolChoice',
        'parallelToolCalls',
        'strictTools',
      ],
      refusesFile: () => 'cannot be sent to kapa providers: they take a question in words',
      check,
    },
    usage: noUsage,
    emptyReply: { answer: '', thread_id: 'none', question_answer_id: 'none', relevant_sources: [] },
  },
  embeddings: null,
};

/** Every dialect that has metadata has it in the same place. */
function withThread(
  options: LanguageModelV4CallOptions,
  _model: string,
  request: JsonObject,
): LanguageModelV4CallOptions {
  const { kapa_thread_id: threadId } = recordOf(request.metadata);
  if (typeof threadId !== 'string' || threadId === '') return options;
  return { ...options, providerOptions: { ...options.providerOptions, kapa: { threadId } } };
}

function check({ prompt, providerOptions }: LanguageModelV4CallOptions): FieldRefusal[] {
  const refuse = (message: string): FieldRefusal[] => [{ field: 'prompt', message }];
  if (prompt.some(({ role }) => role === 'system')) {
    return refuse('may have no system message: a kapa project is instructed where it is set up');
  }
  if (prompt.at(-1)?.role !== 'user') return refuse('must end with the question');
  const goesOn = recordOf(providerOptions?.kapa).threadId !== undefined;
  // What was said before is in the thread, not in the request.
  return prompt.length > 1 && !goesOn
    ? refuse('must be one question, or metadata.kapa_thread_id the thread of the earlier answer')
    : [];
}
