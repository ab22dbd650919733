/** The last so many ids. */
export function createRecentIds(atMost: number) {
  const ids = new Set<string>();
  const ring: string[] = [];
  let at = 0;
  return {
    has: (id: string): boolean => ids.has(id),
    add(id: string): void {
      if (ids.has(id)) return;
      const old = ring[at];
      if (old !== undefined) ids.delete(old);
      ring[at] = id;
      at = (at + 1) % atMost;
      ids.add(id);
    },
  };
}
