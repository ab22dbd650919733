/** What a request does beside all tables, so that no trigger tells the audit log: noted before it is done. */
export interface AuditedDeed {
  /** What becomes of what: the entry's action. */
  readonly deed: string;
  /** Whether the body says what exactly is done, and holds no secret. */
  readonly tellsBody?: boolean;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * `read`: what it reads is not everybody's to know, so each reading is noted in the audit log before it is answered.
     * What only those may read who manage it is noted without saying so here.
     */
    audited?: 'read' | AuditedDeed;
  }
}

export type AuditedRoute = 'read' | AuditedDeed;
