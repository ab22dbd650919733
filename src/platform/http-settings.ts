import { z } from 'zod';

export interface HttpConfig {
  /** Origins whose pages may call this server, as browsers write them. */
  readonly corsOrigins: readonly string[];
  /** Absent: plain HTTP. */
  readonly tls: { readonly certificate: string; readonly key: string } | null;
  /** Connections at once. */
  readonly maxConnections: number;
  /** Mean delay of the event loop from which background work is refused, milliseconds. */
  readonly shedDelayMs: number;
}

export const httpExamples: Readonly<Record<string, string>> = {
  GATEHOUSE_CORS_ORIGINS: 'https://console.example.com, http://localhost:3000',
  TLS_CERT_FILE: '/etc/gatehouse/tls.crt',
  TLS_KEY_FILE: '/etc/gatehouse/tls.key',
  GATEHOUSE_MAX_CONNECTIONS: '10000',
  GATEHOUSE_SHED_DELAY_MS: '150',
};

const origins = z
  .string()
  .transform((text) => text.split(',').map((origin) => origin.trim()))
  .refine((all) => all.length <= 100 && all.every(isOrigin), {
    message: 'must be origins (scheme, host, port) with commas between them, 100 at most, and never *',
  });

const wholeNumber = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d+$/, 'must be a whole number')
    .transform(Number)
    .refine((n) => n >= least && n <= most, { message: `must be from ${least} to ${most}` });

export const httpVariables = {
  GATEHOUSE_CORS_ORIGINS: origins.default([]),
  TLS_CERT_FILE: z.string().optional(),
  TLS_KEY_FILE: z.string().optional(),
  GATEHOUSE_MAX_CONNECTIONS: wholeNumber(10, 1_000_000).default(10_000),
  GATEHOUSE_SHED_DELAY_MS: wholeNumber(5, 60_000).default(150),
};

type HttpValues = z.infer<z.ZodObject<typeof httpVariables>>;

export function httpConfig(v: HttpValues): HttpConfig {
  return {
    corsOrigins: v.GATEHOUSE_CORS_ORIGINS,
    tls: v.TLS_CERT_FILE && v.TLS_KEY_FILE ? { certificate: v.TLS_CERT_FILE, key: v.TLS_KEY_FILE } : null,
    maxConnections: v.GATEHOUSE_MAX_CONNECTIONS,
    shedDelayMs: v.GATEHOUSE_SHED_DELAY_MS,
  };
}

/** A certificate is of no use without its key, nor the other way round. */
export function incompleteTls(given: Readonly<Record<string, string>>): { path: string; message: string }[] {
  const names = ['TLS_CERT_FILE', 'TLS_KEY_FILE'];
  const missing = names.filter((name) => !given[name]);
  if (missing.length !== 1) return [];
  return missing.map((path) => ({
    path,
    message: `is needed for TLS, for example ${path}=${httpExamples[path]}`,
  }));
}

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text && /^https?:/.test(text);
}
