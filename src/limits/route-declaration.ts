/** Work that counts for more than one request (LIM-2). */
export type HeavyWork = 'prompt_execute' | 'workflow_execute' | 'evaluation_batch';

/**
 * How a route is limited, declared in its `config` next to `access`. Without a declaration it is a request of weight 1.
 * A public route is limited by the caller's address, whatever it declares, unless it is exempt.
 */
export type RouteLimits =
  | {
      /**
       * `request`: counted when its caller is known. `query`: a knowledge query, which besides counts against its tenant's
       * queries and holds one of those at a time until its reply has ended. `call`: a model call, for which the reserve step
       * of the call decides all at once; if it ends before that step, it is counted as a request then.
       */
      readonly as: 'request' | 'query' | 'call';
      /** Absent: it weighs 1. */
      readonly work?: HeavyWork;
    }
  /** Never limited, with the reason beside it. */
  | { readonly exempt: string };

declare module 'fastify' {
  interface FastifyContextConfig {
    limits?: RouteLimits;
  }
  interface FastifyRequest {
    /** The caller's address as limits know it: an IPv4 address, or IPv6 by its first 64 bits. */
    clientNetwork: string;
    /** Limits have had their say on this request; it is counted once. */
    limitsDecided: boolean;
  }
}
