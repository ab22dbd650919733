declare module 'fastify' {
  interface FastifyContextConfig {
    /** What it reads is not everybody's to know, so each reading is noted in the audit log before it is answered. */
    audited?: 'read';
  }
}

export type AuditedRoute = 'read';
