import { AppError } from '../errors.ts';

export const engines = ['local', 'vault', 'aws'] as const;
export type EngineName = (typeof engines)[number];

/**
 * What holds key-encryption keys and wraps data keys by them. A key's id is the engine's name, a colon and the key's name
 * there, and stays the same on every instance.
 */
export interface KeyEncryption {
  readonly engine: EngineName;
  /** The key that wraps now. @throws KeyEncryptionError */
  currentKeyId(): Promise<string>;
  /** Keys that this instance could unwrap by, the current one first; of a remote engine only what it was told of. */
  knownKeyIds(): Promise<readonly string[]>;
  /**
   * @param dataKey 32 bytes.
   * @param context what the data key is for; unwrapping needs the same.
   * @throws KeyEncryptionError
   */
  wrap(dataKey: Buffer, context: string): Promise<WrappedKey>;
  /** @throws KeyEncryptionError */
  unwrap(wrapped: WrappedKey, context: string): Promise<Buffer>;
  /** Wraps by the current key what another one wrapped; the data key need not leave the engine. @throws as `unwrap`. */
  rewrap(wrapped: WrappedKey, context: string): Promise<WrappedKey>;
  /**
   * Makes a new current key. Where instances must hear of it first, `everyoneHas` settles when they have, or rejects.
   * @returns its id; null when this engine's keys are made elsewhere.
   */
  makeKey(everyoneHas: (kekId: string) => Promise<void>): Promise<string | null>;
  /** One try to wrap and unwrap. Never throws. */
  health(): Promise<KeyHealth>;
  /** The same service with another of its keys, by its name there. Absent: all its keys are the operator's. */
  readonly withKey?: (name: string) => KeyEncryption;
}

export interface WrappedKey {
  /** At most 10,000 characters. */
  readonly wrapped: string;
  readonly kekId: string;
}

export interface KeyHealth {
  readonly ok: boolean;
  /** A sentence for an operator; holds no secret. */
  readonly detail: string;
}

/**
 * `unknown`: this instance does not have the key. `refused`: the engine says no, or the wrapped key was changed.
 * `unreachable`: nobody knows.
 */
export type KeyTrouble = 'unknown' | 'refused' | 'unreachable';

/** A data key could not be wrapped or unwrapped. Callers get a 503: no secret was lost, and none was changed. */
export class KeyEncryptionError extends AppError {
  readonly trouble: KeyTrouble;
  readonly kekId: string;

  constructor(trouble: KeyTrouble, kekId: string, detail: string, cause?: unknown) {
    super('dependency_down', detail, cause === undefined ? {} : { cause });
    this.name = 'KeyEncryptionError';
    this.trouble = trouble;
    this.kekId = kekId;
  }
}

export const engineOf = (kekId: string): string => kekId.slice(0, Math.max(0, kekId.indexOf(':')));

/** One try to wrap and unwrap a key of zeros, which opens nothing. */
export async function tryOut(engine: KeyEncryption): Promise<KeyHealth> {
  const probe = Buffer.alloc(32);
  try {
    const opened = await engine.unwrap(await engine.wrap(probe, 'health'), 'health');
    return opened.equals(probe)
      ? { ok: true, detail: `${await engine.currentKeyId()} wraps and unwraps` }
      : { ok: false, detail: `${await engine.currentKeyId()} gave back another key than it was given` };
  } catch (error) {
    return { ok: false, detail: error instanceof Error ? error.message : String(error) };
  }
}
