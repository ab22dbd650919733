/** What a route declares in its `config` when something better has taken its place (HTTP-5). */
export interface RouteDeprecation {
  /** The day, in UTC, from which callers are told: `2026-11-21`. */
  readonly since: string;
  /** The day, in UTC, after which the route may stop answering. */
  readonly sunset: string;
  /** The route that takes its place, as it is declared, `:id` and all; null: nothing does. */
  readonly successor: string | null;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    deprecated?: RouteDeprecation;
  }
}
