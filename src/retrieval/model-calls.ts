import type { Principal } from '../access/index.ts';
import { AppError } from '../platform/errors.ts';

/** On whose behalf a model is called; every call ends up in the ledger under these. */
export interface Caller {
  readonly principal: Principal;
  readonly correlationId: string;
  readonly traceparent?: string | undefined;
  /** Aborting it ends the call at the provider too. */
  readonly signal: AbortSignal;
}

/** The one way to a model, in process: the gateway's. `compose/knowledge.ts` supplies both. */
export type Chat = (
  caller: Caller,
  request: {
    readonly model: string;
    readonly messages: readonly {
      readonly role: 'system' | 'user' | 'assistant';
      readonly content: string;
    }[];
    /** The tier of the route to begin with. */
    readonly prefer?: 'economical' | undefined;
  },
  onText?: (text: string) => void | Promise<void>,
) => Promise<ChatResult>;

export interface ChatResult {
  readonly text: string;
  readonly finishReason: string | null;
  readonly usage: { readonly inputTokens: number; readonly outputTokens: number };
  /** Null when the model has no price. */
  readonly costNanoUsd: bigint | null;
  readonly generatedBy: { readonly tier: string; readonly provider: string; readonly model: string };
}

export type Embed = (
  caller: Caller,
  request: { readonly model: string; readonly inputs: readonly string[] },
) => Promise<{
  readonly vectors: readonly Float32Array[];
  readonly usage: { readonly inputTokens: number };
  readonly costNanoUsd: bigint | null;
}>;

/** The model that the routes say makes a tenant's vectors; null when nothing is configured. */
export type EmbeddingModelFor = (principal: Principal) => EmbeddingModel | null;

export interface EmbeddingModel {
  /** What it is called by. */
  readonly name: string;
  /** What it is: vectors of two models under one name cannot be compared. */
  readonly identity: string;
}

/** A model with a caller whose time to use it is bounded. */
export interface EmbeddingUse extends EmbeddingModel {
  readonly caller: Caller;
}

/**
 * @param route the name of the route for embeddings; null when there is none.
 * @param targetsOf where a route leads, first choice first.
 * @returns the route itself while all of its targets are one model (of several providers, say); else its first target,
 *   because a second model's vectors would not fit the index. Null when the route leads nowhere.
 */
export function embeddingModelFrom(
  route: string | null,
  targetsOf: (route: string) => readonly { readonly provider: string; readonly model: string }[],
): EmbeddingModel | null {
  if (route === null) return null;
  const targets = targetsIfAny(route, targetsOf);
  const [first] = targets;
  if (!first) return null;
  const isOneModel = targets.every(({ model }) => model === first.model);
  return { name: isOneModel ? route : `${first.provider}/${first.model}`, identity: first.model };
}

/** A route whose providers are gone is as good as none: search goes by words then. */
function targetsIfAny<T>(route: string, targetsOf: (route: string) => readonly T[]): readonly T[] {
  try {
    return targetsOf(route);
  } catch (error) {
    if (error instanceof AppError) return [];
    throw error;
  }
}
