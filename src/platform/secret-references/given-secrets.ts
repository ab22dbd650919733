import { AppError } from '../errors.ts';
import type { Secrets } from '../secret-box.ts';
import { isReference } from './reference.ts';
import { type Giver, noSecretReferences, type SecretReferences } from './secret-references.ts';

/** Secrets as people give them: whole, or as a reference to where they are kept. */
export interface GivenSecrets extends Secrets {
  /**
   * @param path of the field that it was given in.
   * @throws AppError `invalid` that names the field, when it refers to what this caller may not make the server read.
   */
  refuseForeign(given: string, path: string, giver: Giver): void;
  /** Seals a secret or a reference; the seal knows which of the two it holds. @throws as `Secrets.seal`. */
  seal(given: string, purpose: string, tenantId: string | null): Promise<string>;
  /**
   * @returns the secret; of a reference what is behind it now, at most half a minute old.
   * @throws UnreadableReference when that cannot be read; otherwise as `Secrets.open`.
   */
  open(sealed: string, purpose: string, tenantId: string | null): Promise<string>;
}

/** What a reference leads to cannot be used. Its message names the reference and never the secret. */
export class UnreadableReference extends AppError {
  constructor(detail: string, cause?: unknown) {
    super('dependency_down', detail, cause === undefined ? {} : { cause });
    this.name = 'UnreadableReference';
  }
}

/** Stands before a reference inside its seal. A secret that was given whole never begins so, whatever it says. */
const mark = '\0reference ';

/** @param references absent: only secrets themselves are taken. */
export function createGivenSecrets(
  secretBox: Secrets,
  references: Pick<SecretReferences, 'objectionTo' | 'resolve'> = noSecretReferences,
): GivenSecrets {
  return {
    refuseForeign(given, path, giver) {
      const objection = given.startsWith('\0')
        ? 'must not begin with a control character'
        : references.objectionTo(given, giver);
      if (objection === null) return;
      throw new AppError('invalid', `${path} ${objection}.`, { errors: [{ path, message: objection }] });
    },
    seal: async (given, purpose, tenantId) =>
      secretBox.seal(isReference(given) ? mark + given : given, purpose, tenantId),
    async open(sealed, purpose, tenantId) {
      const stored = await secretBox.open(sealed, purpose, tenantId);
      if (!stored.startsWith(mark)) return stored;
      try {
        return await references.resolve(stored.slice(mark.length));
      } catch (cause) {
        throw new UnreadableReference(cause instanceof Error ? cause.message : String(cause), cause);
      }
    },
  };
}
