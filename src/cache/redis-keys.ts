/** Names in Redis. The braces put everything of a tenant into one slot of a cluster, so that scripts may touch it together. */
export function redisKeys(tenantId: string) {
  const base = `gatehouse:{${tenantId}}:cache`;
  return {
    state: `${base}:state`,
    of: (generation: string) => ({
      entry: (key: string) => `${base}:${generation}:entry:${key}`,
      /** The count at which an entry was removed. */
      removal: (key: string) => `${base}:${generation}:removed:${key}`,
      tag: (tag: string) => `${base}:${generation}:tag:${tag}`,
      /** Keys of entries with the tag. */
      members: (tag: string) => `${base}:${generation}:tagged:${tag}`,
      lead: (key: string) => `${base}:${generation}:lead:${key}`,
      waiters: (key: string) => `${base}:${generation}:waiters:${key}`,
      /** Keys of entries by the end of their life, and their sizes. */
      order: `${base}:${generation}:order`,
      sizes: `${base}:${generation}:sizes`,
    }),
  };
}

/** Where all instances tell each other what was removed and which answers are made. */
export const cacheChannel = 'gatehouse:cache';
