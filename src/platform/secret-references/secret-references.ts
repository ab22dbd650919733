import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import { VaultError } from '../keyring/vault-client.ts';
import type { Log } from '../log.ts';
import { isReference, parseReference, type Reference } from './reference.ts';
import { readSecretFile } from './secret-file.ts';

/** Who gives a reference. */
export interface Giver {
  readonly isOwner: boolean;
  readonly tenantId: string;
}

export interface SecretReferences {
  /**
   * @param given a secret or a reference to one.
   * @returns why it may not be given, as the end of a sentence that begins with its field; null when it may.
   */
  objectionTo(given: string, giver: Giver): string | null;
  /**
   * @param reference one that was allowed when it was given.
   * @returns the secret, at most half a minute old.
   * @throws AppError `dependency_down` that names the reference and never the secret.
   */
  resolve(reference: string): Promise<string>;
  /** Told when a secret that was resolved is another one by now, or can no longer be read, or can again. */
  onChange(listener: () => void): void;
  /** Reads all that was resolved lately again. Never throws. */
  look(): Promise<void>;
  start(): void;
  stop(): Promise<void>;
}

export interface SecretReferencesDependencies {
  readonly variables: ReadonlyMap<string, string>;
  readonly directories: readonly string[];
  /** Null: no Vault is configured. */
  readonly vault: { readSecret(path: string, field: string): Promise<string> } | null;
  readonly clock: Clock;
  readonly log: Log;
}

const freshMs = 30_000;
/** One that nobody asked for is no longer looked after. */
const forgottenAfterMs = 3_600_000;
const lookEveryMs = 30_000;
/** While Vault is away, what it said last is used for so long. */
const outageMs = 900_000;
const most = 10_000;

interface Known {
  /** Null: it could not be read. */
  value: string | null;
  readAtMs: number;
  askedAtMs: number;
}

/** Secrets that are kept in variables, files or Vault: read late, kept for a short while, read again when they change. */
export function createSecretReferences(deps: SecretReferencesDependencies): SecretReferences {
  const { clock, log } = deps;
  const known = new Map<string, Known>();
  const listeners: (() => void)[] = [];
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();

  const read = async (reference: Reference): Promise<string> => {
    if (reference.kind === 'file') return readSecretFile(reference.path, deps.directories);
    if (reference.kind === 'env') {
      const value = deps.variables.get(reference.name);
      if (value !== undefined) return value;
      throw new AppError('dependency_down', `The variable ${reference.name} is not set on this instance.`);
    }
    if (deps.vault) return deps.vault.readSecret(reference.path, reference.field);
    throw new AppError(
      'dependency_down',
      `vault:${reference.path}#${reference.field} cannot be read: set VAULT_ADDR and VAULT_TOKEN, or an AppRole (docs/secrets.md).`,
    );
  };

  const readNow = async (reference: string): Promise<string> => {
    const parsed = parseReference(reference);
    if (typeof parsed === 'string') throw new AppError('dependency_down', `A stored reference ${parsed}.`);
    return read(parsed);
  };

  const note = (reference: string, value: string | null): void => {
    const nowMs = clock.monotonicMs();
    const before = known.get(reference);
    if (!before && known.size >= most) {
      const oldest = known.keys().next();
      if (!oldest.done) known.delete(oldest.value);
    }
    known.set(reference, { value, readAtMs: nowMs, askedAtMs: before?.askedAtMs ?? nowMs });
  };

  const references: SecretReferences = {
    objectionTo(given, { isOwner, tenantId }) {
      if (!isReference(given)) return null;
      const parsed = parseReference(given);
      if (typeof parsed === 'string') return parsed;
      if (isOwner) return null;
      // What the server can read is not the tenant's to read.
      if (parsed.kind !== 'vault')
        return 'may refer to variables and files of the server only if an owner gives it';
      const own = `tenants/${tenantId}/`;
      return parsed.path.startsWith(own) ? null : `must lie below ${own} in Vault`;
    },

    async resolve(reference) {
      const nowMs = clock.monotonicMs();
      const before = known.get(reference);
      if (before) before.askedAtMs = nowMs;
      if (before?.value != null && nowMs - before.readAtMs < freshMs) return before.value;
      try {
        const value = await readNow(reference);
        note(reference, value);
        return value;
      } catch (error) {
        if (isOutage(error) && before?.value != null && nowMs - before.readAtMs < outageMs)
          return before.value;
        note(reference, null);
        throw error;
      }
    },

    onChange(listener) {
      listeners.push(listener);
    },

    async look() {
      let isOther = false;
      for (const [reference, before] of [...known]) {
        if (clock.monotonicMs() - before.askedAtMs > forgottenAfterMs && before.value === null) {
          known.delete(reference);
          continue;
        }
        let value: string | null = null;
        try {
          value = await readNow(reference);
        } catch (error) {
          log.warn({ err: error, reference }, 'a secret that is kept elsewhere cannot be read');
          // A service that is away says nothing of the secret; what was read goes on being used.
          if (isOutage(error)) continue;
        }
        if (value === before.value) {
          before.readAtMs = clock.monotonicMs();
          continue;
        }
        note(reference, value);
        isOther = true;
      }
      if (isOther) for (const listener of listeners) listener();
    },

    start() {
      running = (async () => {
        while (!stopping.signal.aborted) {
          await clock.sleep(lookEveryMs, stopping.signal).catch(() => {});
          if (!stopping.signal.aborted) await references.look();
        }
      })();
    },
    async stop() {
      stopping.abort();
      await running;
    },
  };
  return references;
}

function isOutage(error: unknown): boolean {
  return error instanceof VaultError && error.trouble === 'unreachable';
}

/** Where secrets are only ever given whole. */
export const noSecretReferences: SecretReferences = {
  objectionTo: (given) =>
    isReference(given) ? 'must be the secret itself: references are not set up here' : null,
  resolve: (reference) =>
    Promise.reject(
      new AppError('dependency_down', `${reference} cannot be read: references are not set up here.`),
    ),
  onChange: () => {},
  look: async () => {},
  start: () => {},
  stop: async () => {},
};
