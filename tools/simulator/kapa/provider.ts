import type { Turn } from '../answers.ts';
import type { Exchange } from '../exchange.ts';
import { digestOf } from '../journal.ts';
import { composeSaying, type ModelCall, type Saying, seedOfCall, servedBy } from '../model-call.ts';
import { notInSources } from '../passages.ts';
import type { Endpoint, JsonObject, Provider, Service } from '../provider.ts';
import { unknownPath } from '../provider-error.ts';
import { optionalText } from '../read-json.ts';
import { type Bill, sendReply, sendStream } from '../send.ts';
import { countTokens } from '../tokens.ts';
import { kapaFace, missing } from './face.ts';
import { answerJson, answerStream, type KapaReply, type KapaSource } from './reply.ts';

interface Thread {
  readonly projectId: string;
  readonly turns: Turn[];
}

/** Threads and answers kept; past that the oldest are forgotten. */
const maxKept = 1_000;

/**
 * Kapa, as docs.kapa.ai and its clients show it: chat in a project, follow-ups in a thread, both whole and streamed,
 * and feedback on an answer. The project stands where other providers have the model. A question that speaks of
 * something `unanswerable` gets an uncertain answer without sources.
 */
export function createKapa(): Provider {
  const threads = new Map<string, Thread>();
  const answers = new Set<string>();

  function chat(thread: Thread | undefined, threadId: string, projectId: string, stream: boolean) {
    return async (exchange: Exchange, body: JsonObject, service: Service): Promise<void> => {
      const { call } = exchange;
      const query = optionalText(body.query, 'query');
      if (query === undefined || query === '') throw missing('query');
      const turns: Turn[] = [...(thread?.turns ?? []), { role: 'user', text: query }];
      const asked = modelCallOf(projectId, turns, stream);
      await service.admit(exchange, undefined, asked.prompt.all);
      const isUncertain = /\bunanswerable\b/iu.test(query);
      const answering = service.answering(exchange, projectId);
      const said = composeSaying(asked, answering, seedOfCall(asked, answering.seed));
      const saying = isUncertain ? uncertain(said) : said;
      const id = threadId || uuidOf(`thread ${answering.seed} ${call.number}`);
      const questionAnswerId = uuidOf(`answer ${answering.seed} ${call.number}`);
      keepThread(id, { projectId, turns: [...turns, { role: 'assistant', text: saying.pieces.join('') }] });
      keepAnswer(questionAnswerId);
      call.replyId = questionAnswerId;
      // Kapa bills questions, not tokens; what was made is counted all the same.
      const bill: Bill = { served: servedBy(asked.prompt, [saying]), wireUsage: () => ({ questions: 1 }) };
      const sources = isUncertain ? [] : sourcesOf(query);
      const reply: KapaReply = { saying, threadId: id, questionAnswerId, isUncertain, sources, bill };
      if (stream) return sendStream(exchange, answerStream(reply), service.pace());
      return sendReply(exchange, answerJson(reply), bill, false);
    };
  }

  function feedback(pathId: string | undefined): Endpoint['serve'] {
    return async (exchange, body, service) => {
      const id = pathId ?? optionalText(body.question_answer_id, 'question_answer_id');
      if (id === undefined) throw missing('question_answer_id');
      const reaction = optionalText(body.reaction, 'reaction');
      if (reaction !== 'upvote' && reaction !== 'downvote') throw missing('reaction');
      await service.admit(exchange, undefined, 0);
      if (!answers.has(id)) throw unknownPath('unknown-path', exchange.call.method, exchange.call.path);
      const bill: Bill = { served: servedBy(nothing, []), wireUsage: () => null };
      return sendReply(exchange, JSON.stringify({ question_answer_id: id, reaction }), bill, false);
    };
  }

  function keepThread(id: string, thread: Thread): void {
    threads.delete(id);
    threads.set(id, thread);
    if (threads.size > maxKept) threads.delete(threads.keys().next().value ?? '');
  }

  function keepAnswer(id: string): void {
    answers.add(id);
    if (answers.size > maxKept) answers.delete(answers.values().next().value ?? '');
  }

  return {
    find({ pathname }) {
      const [, place, id = '', streamed] =
        /^\/query\/v1\/(projects|threads)\/([^/]+)\/chat(\/stream)?\/?$/u.exec(pathname) ?? [];
      const stream = streamed !== undefined;
      const common = { face: kapaFace, method: 'POST' as const, stream };
      if (place === 'projects')
        return { ...common, wire: 'kapa-chat', model: id, serve: chat(undefined, '', id, stream) };
      if (place === 'threads') {
        const thread = threads.get(id);
        if (!thread) return { ...common, wire: 'kapa-chat', serve: refuseUnknown };
        const { projectId } = thread;
        return { ...common, wire: 'kapa-chat', model: projectId, serve: chat(thread, id, projectId, stream) };
      }
      const [matched, answerId] =
        /^\/query\/v1\/(?:feedback\/upsert|question-answers?\/([^/]+)\/feedback)\/?$/u.exec(pathname) ?? [];
      if (matched !== undefined) return { ...common, wire: 'kapa-feedback', serve: feedback(answerId) };
      return undefined;
    },
  };
}

const nothing = { all: 0, image: 0, audio: 0, images: 0 };

function refuseUnknown({ call }: Exchange): Promise<void> {
  return Promise.reject(unknownPath('unknown-path', call.method, call.path));
}

function modelCallOf(projectId: string, turns: readonly Turn[], stream: boolean): ModelCall {
  const all = turns.reduce((total, { text }) => total + countTokens(text), 0);
  return {
    model: projectId,
    turns,
    stream,
    maxTokens: undefined,
    stop: [],
    tools: [],
    callTool: undefined,
    jsonSchema: undefined,
    thinkingBudget: 0,
    tellThoughts: false,
    prompt: { ...nothing, all },
    toolResults: [],
  };
}

function uncertain(said: Saying): Saying {
  const tokens = countTokens(notInSources);
  return { ...said, answer: { kind: 'text', text: notInSources }, pieces: [notInSources], tokens };
}

/** One to three pages of a manual that there is not, the same for the same question. */
function sourcesOf(query: string): KapaSource[] {
  const digest = digestOf(query);
  const count = 1 + (Number.parseInt(digest.slice(0, 2), 16) % 3);
  return Array.from({ length: count }, (_, index) => ({
    source_url: `https://docs.example.com/page-${digest.slice(index, index + 4)}`,
    title: `Manual|Page ${digest.slice(index, index + 4)}`,
    contains_internal_data: false,
  }));
}

function uuidOf(text: string): string {
  const hex = digestOf(text) + digestOf(`${text} again`);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
