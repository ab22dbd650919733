import { AsyncLocalStorage } from 'node:async_hooks';

/**
 * What is done on whose behalf, for as long as the work for one request goes on, however many calls deep: the database
 * tells it to the audit log. Nothing decides by it; who may do what is decided by what is passed on in plain sight.
 */
export interface RequestContext {
  /** @param told JSON for the audit log: `actor`, `ip`, `correlation_id` and `request`. */
  run<T>(told: string, work: () => T): T;
  /** Null outside of any request: the platform's own work. */
  current(): string | null;
}

export function createRequestContext(): RequestContext {
  const storage = new AsyncLocalStorage<string>();
  return {
    run: (told, work) => storage.run(told, work),
    current: () => storage.getStore() ?? null,
  };
}
