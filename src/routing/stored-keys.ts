import type { SecretBox } from '../platform/secret-box.ts';
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
export function sealKeys(
  box: Pick<SecretBox, 'seal'>,
  providerId: string,
  keys: readonly GivenKey[],
): KeyColumns {
  const sealed = keys.map(({ value, weight }) => ({
    sealed: box.seal(value, purposeOf(providerId)),
    hint: value.length >= leastLengthForHint ? value.slice(-4) : null,
    weight,
  }));
  const [first] = sealed;
  // The first one also goes where a server of the version before looks for it.
  return { sealed_key: first?.sealed ?? null, key_hint: first?.hint ?? null, sealed_keys: sealed };
}

/**
 * @param before the provider's keys as they were last opened: an equal key stays the same object, because what is
 *   remembered of a key hangs on it.
 * @throws AppError `dependency_down` when they were sealed by another master key, or changed.
 */
export function openKeys(
  box: Pick<SecretBox, 'open'>,
  row: ProviderRow,
  before: readonly ProviderKey[],
): ProviderKey[] {
  return sealedIn(row).map(({ sealed, hint, weight }) => {
    const value = box.open(sealed, purposeOf(row.id));
    const known = before.find((key) => key.value === value && key.weight === weight);
    return known ?? { value, hint, weight };
  });
}

/** @returns the keys of a row of any version. */
function sealedIn(row: KeyColumns): readonly SealedKey[] {
  if (row.sealed_keys !== null) return row.sealed_keys;
  return row.sealed_key === null ? [] : [{ sealed: row.sealed_key, hint: row.key_hint, weight: 1 }];
}

function purposeOf(providerId: string): string {
  return `provider:${providerId}`;
}
