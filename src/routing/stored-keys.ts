import type { Secrets } from '../platform/secret-box.ts';
import { isReference, type SecretReferences } from '../platform/secret-references/index.ts';
import type { ProviderKey } from './resolution.ts';
import type { ProviderRow, SealedKey } from './routing.store.ts';

/** A key as its owner gives it. */
export interface GivenKey {
  readonly value: string;
  /** Its share of the calls. */
  readonly weight: number;
}

/** Below this length the last four characters would tell too much of a key. */
const leastLengthForHint = 12;

type KeyColumns = Pick<ProviderRow, 'sealed_key' | 'key_hint' | 'sealed_keys'>;

/** @returns the keys as a provider's row holds them, sealed for that very row. */
export async function sealKeys(
  box: Pick<Secrets, 'seal'>,
  row: Pick<ProviderRow, 'id' | 'tenant_id'>,
  keys: readonly GivenKey[],
): Promise<KeyColumns> {
  const sealed: SealedKey[] = [];
  for (const { value, weight } of keys) {
    const reference = isReference(value);
    sealed.push({
      sealed: await box.seal(value, purposeOf(row.id, reference), row.tenant_id),
      hint: !reference && value.length >= leastLengthForHint ? value.slice(-4) : null,
      weight,
      ...(reference ? { reference: value } : {}),
    });
  }
  const [first] = sealed;
  // The first one also goes where a server of the version before looks for it.
  return { sealed_key: first?.sealed ?? null, key_hint: first?.hint ?? null, sealed_keys: sealed };
}

/**
 * @param before the provider's keys as they were last opened: an equal key stays the same object, because what is
 *   remembered of a key hangs on it.
 * @throws AppError `dependency_down` when their key cannot be had, they were changed, or what they refer to cannot be read.
 */
export async function openKeys(
  deps: { readonly secretBox: Pick<Secrets, 'open'>; readonly references: Pick<SecretReferences, 'resolve'> },
  row: ProviderRow,
  before: readonly ProviderKey[],
): Promise<ProviderKey[]> {
  const keys: ProviderKey[] = [];
  for (const { sealed, hint, weight, reference } of sealedIn(row)) {
    const stored = await deps.secretBox.open(
      sealed,
      purposeOf(row.id, reference !== undefined),
      row.tenant_id,
    );
    // What is sealed counts: the reference beside it is for people.
    const value = reference === undefined ? stored : await deps.references.resolve(stored);
    const known = before.find(
      (key) => key.value === value && key.weight === weight && key.reference === reference,
    );
    keys.push(known ?? { value, hint, weight, ...(reference === undefined ? {} : { reference }) });
  }
  return keys;
}

/** @returns the keys of a row of any version. */
function sealedIn(row: KeyColumns): readonly SealedKey[] {
  if (row.sealed_keys !== null) return row.sealed_keys;
  return row.sealed_key === null ? [] : [{ sealed: row.sealed_key, hint: row.key_hint, weight: 1 }];
}

/** References have a purpose of their own: a server that knows none must not send one where a key belongs. */
export function purposeOf(providerId: string, isOfReference: boolean): string {
  return isOfReference ? `provider reference:${providerId}` : `provider:${providerId}`;
}
