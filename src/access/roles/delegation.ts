import { AppError } from '../../platform/errors.ts';
import { type Permission, within } from '../permissions.ts';
import { allDocumentsToken, type Principal } from '../principal.ts';
import type { RoleFacts } from './role-facts.ts';

/** What somebody is to be given: a user by an invitation, a key by its maker. */
export interface Grant {
  readonly role: RoleFacts;
  readonly groups: readonly string[];
  /** None: all of the role. */
  readonly scopes: readonly string[];
}

/** With these a caller learns what documents say. */
const reading: readonly Permission[] = ['documents:read', 'documents:write', 'queries:run'];

/**
 * Nobody grants more than they hold: no permission that they lack, and, unless they read every document themselves, no
 * way to read documents that are not theirs to read: neither as another role nor as a member of another group.
 * @throws AppError `forbidden`, naming what is beyond them.
 */
export function refuseGrantBeyond(principal: Principal, { role, groups, scopes }: Grant): void {
  if (role.name === 'owner' && principal.role !== 'owner') {
    throw new AppError('forbidden', 'Only an owner can make an owner.');
  }
  const granted = within(role.permissions, scopes);
  refusePermissionsBeyond(principal, granted);
  if (principal.readerTokens.includes(allDocumentsToken)) return;
  if (role.readsAllDocuments) {
    throw new AppError('forbidden', `Only an administrator can give the role ${role.name}.`);
  }
  if (!granted.some((permission) => reading.includes(permission))) return;
  const held = new Set(principal.readerTokens);
  const beyond = [`role:${role.name}`, ...groups.map((group) => `group:${group}`)].find(
    (token) => !held.has(token),
  );
  if (beyond !== undefined) {
    throw new AppError(
      'forbidden',
      `This would read documents as ${beyond}, which you do not. Leave it out, or ask an administrator.`,
    );
  }
}

/** @throws AppError `forbidden`, naming a permission that the caller lacks. */
export function refusePermissionsBeyond(principal: Principal, granted: readonly Permission[]): void {
  const beyond = granted.find((permission) => !principal.permissions.has(permission));
  if (beyond === undefined) return;
  throw new AppError(
    'forbidden',
    `Nobody grants more than they hold: ${beyond} is not among your permissions. Choose a lower role or name scopes.`,
  );
}
