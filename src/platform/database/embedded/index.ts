export type { EmbeddedConnection } from './connection.ts';
export {
  createEmbeddedPostgres,
  type EmbeddedPostgres,
  type EmbeddedPostgresDeps,
} from './embedded-postgres.ts';
export { type EmbeddedPostgresReport, inspectEmbeddedPostgres } from './inspect.ts';
