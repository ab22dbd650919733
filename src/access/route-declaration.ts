import type { Permission } from './permissions.ts';
import type { Principal } from './principal.ts';

/**
 * What each route declares, in its `config`. A route without a declaration stops the server from being built.
 */
export type RouteAccess =
  | { readonly permission: Permission }
  /** Open to everyone, with the reason beside it. */
  | { readonly public: string };

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: RouteAccess;
  }
  interface FastifyRequest {
    /** The caller. Reading it on a public route throws, because there is none. */
    principal: Principal;
    /** HTTP-4: one id from here to the provider and into the ledger. */
    correlationId: string;
    /** The caller's whole address, as trusted proxies tell it. */
    clientAddress: string;
    /** W3C trace context as received, when well formed; passed upstream. */
    traceparent: string | undefined;
  }
}
