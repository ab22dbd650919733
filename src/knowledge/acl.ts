/** Who may read a document. All three empty: everyone in the tenant. */
export interface Acl {
  readonly roles: readonly string[];
  readonly groups: readonly string[];
  readonly users: readonly string[];
}

/** The stored form of an ACL, in which row-level security compares it with the caller's tokens: sorted, each once. */
export function readersOf(acl: Acl): string[] {
  const tokens = [
    ...acl.roles.map((role) => `role:${role}`),
    ...acl.groups.map((group) => `group:${group}`),
    ...acl.users.map((user) => `user:${user}`),
  ];
  return [...new Set(tokens)].sort();
}

/** The inverse of `readersOf`. */
export function aclOf(readers: readonly string[]): Acl {
  const named = (kind: string) =>
    readers.filter((token) => token.startsWith(`${kind}:`)).map((token) => token.slice(kind.length + 1));
  return { roles: named('role'), groups: named('group'), users: named('user') };
}
