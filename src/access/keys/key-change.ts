import { AppError } from '../../platform/errors.ts';
import type { KeyRow } from '../access.store.ts';
import type { Attributes } from '../attributes/attributes.ts';
import { refuseBadRanges } from './address-list.ts';
import { refuseBadPatterns } from './model-list.ts';

/** What can be changed of a key; what is absent stays. Its role never changes: for another, another key is made. */
export interface KeyChange {
  readonly name?: string | undefined;
  readonly expiresAt?: Date | null | undefined;
  /** In place of all that there were. */
  readonly attributes?: Attributes | undefined;
  readonly ipAllowList?: readonly string[] | undefined;
  readonly modelAllowList?: readonly string[] | undefined;
}

/** @throws AppError `invalid` that names the field. */
export function refuseBadLists(lists: Pick<KeyChange, 'ipAllowList' | 'modelAllowList'>): void {
  refuseBadRanges(lists.ipAllowList ?? [], 'ip_allow_list');
  refuseBadPatterns(lists.modelAllowList ?? [], 'model_allow_list');
}

/** The row's new values. */
export function changedKey(row: KeyRow, change: KeyChange) {
  return {
    name: change.name ?? row.name,
    expires_at: change.expiresAt === undefined ? row.expires_at : change.expiresAt,
    attributes: change.attributes ?? row.attributes,
    ip_allow_list: [...(change.ipAllowList ?? row.ip_allow_list)],
    model_allow_list: [...(change.modelAllowList ?? row.model_allow_list)],
  };
}

/**
 * The row's new values when it gets another secret: the one before works until the grace has passed, and one before that no
 * longer.
 */
export function rotatedKey(row: KeyRow, hash: string, graceSeconds: number, now: Date) {
  const grace = graceSeconds > 0;
  return {
    key_hash: Buffer.from(hash, 'hex'),
    rotated_at: now,
    previous_key_hash: grace ? row.key_hash : null,
    previous_expires_at: grace ? new Date(now.getTime() + graceSeconds * 1000) : null,
  };
}

/** Keys of the server's settings, and those that stand for somebody who signed in, have no secret that we could give out. */
export function refuseUnrotatable(row: KeyRow): void {
  if (/^[0-9A-Za-z]{12}$/.test(row.id)) return;
  throw new AppError('conflict', `The key ${row.id} is set by the server's configuration. Change it there.`);
}
