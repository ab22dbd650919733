import type { Routes } from '../platform/api.ts';
import { type AnswerRoutesDependencies, answerRoutes } from './answer.routes.ts';
import type { Retrieval } from './retrieval.ts';
import { searchRoutes } from './search.routes.ts';

export type { Answer, Question } from './answer.ts';
export { cachedAnswersOfDocument } from './cached-answers-of-document.ts';
export { evaluateFolder } from './evaluator/evaluate-folder.ts';
export { reportText } from './evaluator/report-text.ts';
export { createLanceDbIndex } from './index/lancedb-index.ts';
export type { SearchIndex } from './index/search-index.ts';
export { createKnownAnswers } from './known-answers.ts';
export { type Caller, type Embed, embeddingModelFrom } from './model-calls.ts';
export { createRetrieval, type Retrieval } from './retrieval.ts';

/** `POST /search` and `POST /query`. */
export function retrievalRoutes(
  retrieval: Retrieval,
  others: Omit<AnswerRoutesDependencies, 'answerQuestion'>,
): readonly Routes[] {
  return [
    searchRoutes(retrieval.findPassages),
    answerRoutes({ ...others, answerQuestion: retrieval.answerQuestion }),
  ];
}
