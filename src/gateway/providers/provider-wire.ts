import type {
  EmbeddingModelV4,
  EmbeddingModelV4CallOptions,
  LanguageModelV4,
  LanguageModelV4CallOptions,
} from '@ai-sdk/provider';
import type { Provider, ProviderKey, Target } from '../../routing/index.ts';
import type { JsonObject } from '../json-object.ts';
import type { DialectName } from '../model-call.ts';
import type { CallLimits } from '../translation/call-limits.ts';
import type { UsageReader } from '../usage/usage-reader.ts';

/** How one kind of provider is reached. */
export interface ProviderWire {
  /** Where, below its base URL, it takes the bytes of this dialect as they are; null: the call must be translated. */
  nativePath(dialect: DialectName, target: Target): string | null;
  /** Headers that carry the key: names and values in turn. */
  authHeaders(key: ProviderKey | null): readonly string[];
  /** @returns why it cannot have a model of that name, where the package puts names into paths as they are; else null. */
  refusesModel?(model: string): string | null;
  /** How it is asked in the neutral form; null when it answers no chats. */
  readonly chat: ChatWire | null;
  /** The same for embeddings. */
  readonly embeddings: EmbeddingsWire | null;
}

/** What a model of a provider package is opened with. */
export interface ModelConnection {
  readonly provider: Provider;
  readonly key: ProviderKey | null;
  /** As the provider names it. */
  readonly model: string;
  /** The only way out that the package has. It adds the headers of `authHeaders`. */
  readonly fetch: typeof globalThis.fetch;
}

export interface ChatWire {
  open(connection: ModelConnection): LanguageModelV4;
  /**
   * A call as the package wants it, where its place for something is not the usual one.
   * @param request the caller's body, for what only this kind of provider knows.
   */
  adapt?(options: LanguageModelV4CallOptions, model: string, request: JsonObject): LanguageModelV4CallOptions;
  /** What a call may ask of it. */
  readonly limits: CallLimits;
  readonly usage: UsageReader;
  /** A reply that its package can read, for going through a call without asking anybody. */
  readonly emptyReply: object;
}

export interface EmbeddingsWire {
  open(connection: ModelConnection): EmbeddingModelV4;
  /** The call as this model's package wants it. */
  options(options: EmbeddingModelV4CallOptions, model: string): EmbeddingModelV4CallOptions;
  /** Reads what the package gives for one request, not the provider's body. */
  readonly usage: UsageReader;
}

/** The header that carries a key, by its name. */
export const keyHeader = (name: string) => (key: ProviderKey | null) => (key ? [name, key.value] : []);

export const bearer = (key: ProviderKey | null) => (key ? ['authorization', `Bearer ${key.value}`] : []);

export const pathsOf = (paths: Partial<Record<DialectName, string>>) => (dialect: DialectName) =>
  paths[dialect] ?? null;

/** The packages insist on a key; the one that counts is set by `fetch`. */
export const placeholderKey = 'set-by-fetch';
