import type {
  EmbeddingModelV4CallOptions,
  EmbeddingModelV4Result,
  LanguageModelV4CallOptions,
  LanguageModelV4GenerateResult,
  LanguageModelV4StreamPart,
} from '@ai-sdk/provider';
import type { JsonObject } from '../json-object.ts';
import type { FieldNames } from './call-limits.ts';

/**
 * How a dialect goes to and comes back from the neutral form, which is the one that the AI SDK's provider packages
 * understand. Every function is plain: what was said in, what is to be said out.
 */
export type Translation = ChatTranslation | EmbeddingTranslation | OwnAnswer;

/** Where a translated reply came from, and what it is called by. */
export interface ReplyContext {
  /** The id of the call, for ids that the dialect wants. */
  readonly callId: string;
  /** As the caller named the model. */
  readonly model: string;
  /** Seconds since 1970. */
  readonly createdAt: number;
  /** The request, for what a reply repeats of it. */
  readonly request: JsonObject;
}

export interface ChatTranslation {
  readonly kind: 'chat';
  /** What this dialect calls the fields of the neutral form, for refusals that come once the provider is known. */
  readonly fieldNames?: FieldNames;
  /**
   * Fields that this dialect makes every caller give, whatever they want: left out where a provider has no place for
   * them, because nobody could leave them out themselves.
   */
  readonly mandatory?: readonly 'maxOutputTokens'[];
  /**
   * @param request a body of this dialect.
   * @throws AppError `invalid` (422) whose `errors` name each field that has no place in the neutral form.
   */
  readRequest(request: JsonObject): LanguageModelV4CallOptions;
  /** A whole reply of this dialect, usage included, as JSON. */
  writeReply(result: LanguageModelV4GenerateResult, context: ReplyContext): Buffer;
  /** Opens the writing of a stream in this dialect. */
  openStream(context: ReplyContext): TranslatedStream;
  /** A provider's refusal as this dialect's clients know it. @param type by meaning, from the provider's status. */
  writeError(error: TranslatedError): Buffer;
}

export interface TranslatedStream {
  /** @returns whole events, or nothing when the dialect has none for this part. */
  write(part: LanguageModelV4StreamPart): string;
  /** @returns what ends the stream after the last part. */
  end(): string;
}

export interface TranslatedError {
  /** HTTP status, as the provider gave it. */
  readonly status: number;
  /** The provider's own words. */
  readonly message: string;
  /** The provider's own code, when it has one. */
  readonly code: string | null;
}

/** For what needs no model, and what only some providers are asked: the others' part is done here. */
export interface OwnAnswer {
  readonly kind: 'own';
  /** A whole reply of this dialect, as JSON. */
  answer(request: JsonObject): Buffer;
}

export interface EmbeddingTranslation {
  readonly kind: 'embeddings';
  /** @throws AppError `invalid` naming each field that cannot be carried. */
  readRequest(request: JsonObject): EmbeddingModelV4CallOptions;
  writeReply(result: EmbeddingModelV4Result, context: ReplyContext): Buffer;
  writeError(error: TranslatedError): Buffer;
}
