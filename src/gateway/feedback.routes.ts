import { z } from 'zod';
import type { Routes } from '../platform/api.ts';
import { AppError } from '../platform/errors.ts';
import type { Routing } from '../routing/index.ts';
import type { SendFeedback } from './feedback.ts';
import { openAiErrorBody } from './openai.routes.ts';

export interface FeedbackRoutesDependencies {
  readonly routing: Pick<Routing, 'resolve'>;
  readonly sendFeedback: SendFeedback;
}

/** What people thought of the answers of answer providers, for the people who keep the documentation behind them. */
export function feedbackRoutes({ routing, sendFeedback }: FeedbackRoutesDependencies): Routes {
  return (api) => {
    api.post(
      '/feedback',
      {
        config: { access: { permission: 'models:call' }, dialect: 'openai-chat' },
        schema: {
          tags: ['Models'],
          summary: 'Tell an answer provider what a person thought of its answer',
          body: feedbackBody,
          response: { 200: feedbackReply, '4xx': openAiErrorBody, '5xx': openAiErrorBody },
        },
      },
      async (request) => {
        const { model, answer_id: answerId, reaction, comment } = request.body;
        const targets = routing.resolve(request.principal, model).tiers.flat();
        const target = targets.find(({ provider }) => provider.kind === 'kapa');
        if (!target) {
          const message = 'leads to no provider that takes feedback';
          throw new AppError('invalid', `"model" ${message}.`, { errors: [{ path: 'model', message }] });
        }
        const feedback = { answerId, reaction };
        await sendFeedback(target, request, comment ? { ...feedback, comment } : feedback);
        return { answer_id: answerId, reaction };
      },
    );
  };
}

const feedbackBody = z.object({
  model: z.string().max(500).describe('As it was asked: a route, or <provider>/<model>'),
  answer_id: z
    .string()
    .regex(/^[\w-]{1,100}$/, 'must be letters, digits, hyphens or underscores, at most 100')
    .describe('The id of the answer; in a chat reply, metadata.kapa_question_answer_id'),
  reaction: z.enum(['upvote', 'downvote']),
  comment: z.string().max(2_000).nullish(),
});

const feedbackReply = z.object({ answer_id: z.string(), reaction: z.enum(['upvote', 'downvote']) });
