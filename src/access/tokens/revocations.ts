export type RevocationKind = 'token' | 'family' | 'user' | 'tenant';

/** Access tokens that are refused before their time. */
export interface Revocation {
  readonly tenantId: string;
  readonly kind: RevocationKind;
  /** The token's id, its family's, the user's or the tenant's. */
  readonly subject: string;
  /** Of a user: the epoch before which tokens are refused. Of a tenant: the instant, in milliseconds since 1970. */
  readonly before: bigint;
  /** From then on no such token lives anyway. */
  readonly expiresAtMs: number;
}

/** What of a token decides whether it was revoked. */
export interface RevocableToken {
  readonly tenantId: string;
  readonly id: string;
  readonly familyId: string | null;
  readonly userId: string | null;
  readonly epoch: bigint;
  readonly madeAtMs: number;
}

export interface Revocations {
  covers(token: RevocableToken): boolean;
  add(revocation: Revocation, nowMs: number): void;
  /** What was read; what is known already stays, because a message may have come while it was read. */
  addAll(all: readonly Revocation[], nowMs: number): void;
}

/** Forgotten once so many have come since the last look; the database holds no more than are alive. */
const sweepAfter = 1_000;

/** What was revoked and could still live, in memory. */
export function createRevocations(): Revocations {
  const known = new Map<string, Revocation>();
  let added = 0;
  const nameOf = (tenantId: string, kind: RevocationKind, subject: string) =>
    `${kind} ${tenantId} ${subject}`;
  const put = (revocation: Revocation) => {
    const name = nameOf(revocation.tenantId, revocation.kind, revocation.subject);
    const before = known.get(name);
    // Messages can come twice and out of order; none takes back what another said.
    if (before && before.before > revocation.before) return;
    known.set(name, revocation);
  };

  const sweep = (nowMs: number) => {
    for (const [name, { expiresAtMs }] of known) if (expiresAtMs <= nowMs) known.delete(name);
  };

  return {
    covers({ tenantId, id, familyId, userId, epoch, madeAtMs }) {
      if (known.size === 0) return false;
      if (known.has(nameOf(tenantId, 'token', id))) return true;
      if (familyId !== null && known.has(nameOf(tenantId, 'family', familyId))) return true;
      const ofUser = userId === null ? undefined : known.get(nameOf(tenantId, 'user', userId));
      if (ofUser && epoch < ofUser.before) return true;
      const ofTenant = known.get(nameOf(tenantId, 'tenant', tenantId));
      return ofTenant !== undefined && BigInt(Math.floor(madeAtMs)) <= ofTenant.before;
    },
    add(revocation, nowMs) {
      put(revocation);
      if (++added < sweepAfter) return;
      added = 0;
      sweep(nowMs);
    },
    addAll(all, nowMs) {
      for (const revocation of all) put(revocation);
      sweep(nowMs);
    },
  };
}
