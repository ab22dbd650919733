import type { Target } from '../routing/index.ts';
import type { Caller } from './model-call.ts';

/** What a person thought of an answer of an answer provider. */
export interface Feedback {
  /** As the provider named the answer. */
  readonly answerId: string;
  readonly reaction: 'upvote' | 'downvote';
  readonly comment?: string;
}

/**
 * Tells the provider of a target. It asks no model and costs nothing, so no call is made of it.
 * @throws AppError `invalid` when such a provider takes no feedback; `upstream_rejected` or `upstream_failed`.
 */
export type SendFeedback = (target: Target, caller: Caller, feedback: Feedback) => Promise<void>;
