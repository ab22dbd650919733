import { AppError, type FieldProblem } from '../../platform/errors.ts';
import { responseModel } from '../dialects/openai-reply.ts';
import type { JsonObject } from '../json-object.ts';
import type { ReplyFacts } from '../model-call.ts';
import { maxProblems } from '../translation/field-reader.ts';
import type { ReplyContext } from '../translation/translation.ts';
import type { UpstreamRequest } from '../upstream.ts';
import type { UsageReader } from '../usage/usage-reader.ts';
import type { ProviderFetch } from './provider-fetch.ts';
import { refusalBehind } from './provider-refused.ts';

/** What a translated answer is told to, as it comes. */
export interface TranslatedReceiver {
  /** Begins the reply. @param headers of the provider's. */
  begin(contentType: string, headers: Readonly<Record<string, string>> | undefined): void;
  /** Resolves once the caller can take more. */
  write(bytes: Buffer): Promise<void>;
  /** Where to ask what the provider told so far, however the reply ends. */
  tellsFacts(facts: () => ReplyFacts): void;
  readonly begun: boolean;
  readonly aborted: boolean;
}

export interface Asked extends UpstreamRequest {
  readonly context: ReplyContext;
  readonly fetch: ProviderFetch;
  readonly receiver: TranslatedReceiver;
}

export function refusedFields({ target }: UpstreamRequest, problems: readonly FieldProblem[]): AppError {
  const errors = problems.slice(0, maxProblems);
  const named = errors.map(({ path, message }) => `"${path}" ${message}`).join('; ');
  return new AppError('invalid', `The provider "${target.provider.name}" cannot take this call: ${named}.`, {
    errors,
  });
}

export function factsOf(
  model: string | undefined,
  raw: JsonObject | null,
  usage: UsageReader,
  estimateOutputTokens: () => number,
): ReplyFacts {
  return {
    model: responseModel(model),
    rawUsage: raw === null ? null : JSON.stringify(raw),
    usage: raw === null ? null : usage.read(raw),
    estimateOutputTokens,
  };
}

/** @throws ProviderRefused where the package gives the provider's refusal; the package's own error otherwise. */
export async function orRefusal<T>(reply: PromiseLike<T>): Promise<T> {
  try {
    return await reply;
  } catch (error) {
    throw refusalBehind(error) ?? error;
  }
}
