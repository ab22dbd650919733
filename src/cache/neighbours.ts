/** A question whose answer is kept, by what it means. */
interface Candidate {
  readonly key: string;
  /** Of length 1, so that a product is the cosine. */
  readonly direction: Float32Array;
  readonly expiresAtMs: number;
}

export interface Neighbour {
  readonly key: string;
  /** Cosine of the angle between the two questions, at most 1. */
  readonly similarity: number;
}

/** Questions by meaning, in walls that none of them leaves. */
export interface Neighbours {
  add(tenantId: string, wall: string, key: string, vector: Float32Array, expiresAtMs: number): void;
  /** At least as similar as `threshold`, the most similar first. */
  near(tenantId: string, wall: string, vector: Float32Array, threshold: number, nowMs: number): Neighbour[];
  forget(tenantId: string, wall: string, key: string): void;
  removeTenant(tenantId: string): void;
  readonly bytes: number;
}

/** Compared one by one: 512 vectors of 1,536 numbers take about a millisecond. */
const maxPerWall = 512;
/** What a candidate, and a wall, take beside the vector; rounded up. */
const overheadBytes = 256;

/** @param maxBytes for all tenants; the wall used longest ago makes room. */
export function createNeighbours(maxBytes: number): Neighbours {
  // In the order of their last use.
  const walls = new Map<string, { readonly tenantId: string; candidates: Candidate[] }>();
  let bytes = 0;
  const sizeOf = (candidate: Candidate) => candidate.direction.byteLength + overheadBytes;

  const setCandidates = (id: string, tenantId: string, candidates: Candidate[]): void => {
    const before = walls.get(id);
    if (before) bytes -= sizeOfWall(before.candidates);
    walls.delete(id);
    if (candidates.length === 0) return;
    walls.set(id, { tenantId, candidates });
    bytes += sizeOfWall(candidates);
  };
  const sizeOfWall = (candidates: readonly Candidate[]) =>
    candidates.reduce((sum, candidate) => sum + sizeOf(candidate), overheadBytes);

  return {
    add(tenantId, wall, key, vector, expiresAtMs) {
      const direction = directionOf(vector);
      if (direction === null) return;
      const id = `${tenantId} ${wall}`;
      const others = (walls.get(id)?.candidates ?? []).filter((candidate) => candidate.key !== key);
      const kept = [...others, { key, direction, expiresAtMs }].slice(-maxPerWall);
      setCandidates(id, tenantId, kept);
      for (const [oldest, { tenantId: its }] of walls) {
        if (bytes <= maxBytes) break;
        setCandidates(oldest, its, []);
      }
    },
    near(tenantId, wall, vector, threshold, nowMs) {
      const id = `${tenantId} ${wall}`;
      const direction = directionOf(vector);
      const there = walls.get(id)?.candidates;
      if (direction === null || !there) return [];
      const candidates = there.filter(({ expiresAtMs }) => expiresAtMs > nowMs);
      setCandidates(id, tenantId, candidates);
      return candidates
        .filter((candidate) => candidate.direction.length === direction.length)
        .map((candidate) => ({ key: candidate.key, similarity: product(candidate.direction, direction) }))
        .filter(({ similarity }) => similarity >= threshold)
        .sort((a, b) => b.similarity - a.similarity);
    },
    forget(tenantId, wall, key) {
      const id = `${tenantId} ${wall}`;
      const there = walls.get(id)?.candidates;
      if (there)
        setCandidates(
          id,
          tenantId,
          there.filter((candidate) => candidate.key !== key),
        );
    },
    removeTenant(tenantId) {
      for (const [id, { tenantId: its }] of walls) if (its === tenantId) setCandidates(id, its, []);
    },
    get bytes() {
      return bytes;
    },
  };
}

/** @returns the vector with length 1; null when it points nowhere. */
export function directionOf(vector: Float32Array): Float32Array | null {
  const length = Math.sqrt(product(vector, vector));
  return Number.isFinite(length) && length > 0 ? vector.map((value) => value / length) : null;
}

/** Of two vectors of one length. */
export function product(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += (a[at] ?? 0) * (b[at] ?? 0);
  return sum;
}
