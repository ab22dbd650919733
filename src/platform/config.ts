import { resolve } from 'node:path';
import { readConfigFile } from './config-file.ts';
import { invalidConfig, problemsIn, problemsInLimits } from './config-problems.ts';
import { clientVariables, examples, incompleteS3, serverVariables } from './config-variables.ts';
import {
  environmentProviders,
  incompleteProviders,
  type ProviderFromEnvironment,
} from './environment-providers.ts';
import { type HttpConfig, httpConfig, incompleteTls } from './http-settings.ts';
import { type LimitsConfig, limitsSection } from './limits-settings.ts';
import { incompleteMail, type MailConfig, mailConfig } from './mail-settings.ts';
import {
  incompleteSecrets,
  isSecretVariable,
  type SecretsConfig,
  secretsConfig,
} from './secrets-settings.ts';

export interface Config {
  readonly host: string;
  readonly port: number;
  readonly dataDir: string;
  /** Where callers reach this server; shown in the first-boot message. Without it, host and port are. */
  readonly publicUrl: string | null;
  /** Absent: the embedded server. */
  readonly databaseUrl: string | null;
  readonly databasePool: { readonly min: number; readonly max: number };
  readonly statementTimeoutMs: number;
  /** Absent: what instances would share stays in this process. Holds a password: never to be logged. */
  readonly redisUrl: string | null;
  /** How long one command may take before it is done without. */
  readonly redisTimeoutMs: number;
  /** Absent: files stay in the data directory. */
  readonly s3: S3Config | null;
  readonly cache: CacheConfig;
  /** How long entries of the audit log are kept. */
  readonly auditDays: number;
  readonly secrets: SecretsConfig;
  readonly adminKey: string | null;
  readonly region: 'eu' | 'us' | 'apac';
  readonly limits: LimitsConfig;
  /** Addresses and ranges of proxies whose word on their clients' addresses counts. */
  readonly trustedProxies: readonly string[];
  readonly http: HttpConfig;
  readonly drainMs: number;
  readonly shutdownMs: number;
  readonly notifications: NotificationsConfig;
  /** Null: no mail is sent. Holds a password: never to be logged. */
  readonly mail: MailConfig | null;
  readonly logLevel: string;
  readonly environmentProviders: readonly ProviderFromEnvironment[];
}

export interface S3Config {
  /** Null: that of AWS for the region. */
  readonly endpoint: string | null;
  readonly bucket: string;
  readonly region: string;
  readonly accessKeyId: string;
  /** Shown to nobody. */
  readonly secretAccessKey: string;
}

export interface CacheConfig {
  /** Memory of this process for cached answers. */
  readonly maxBytes: number;
  /** In Redis, for each tenant. */
  readonly maxRedisBytesPerTenant: number;
  readonly ttlMs: number;
  /** How long past its time an answer may stand in when every provider fails. */
  readonly staleMs: number;
}

export interface NotificationsConfig {
  /** Hosts, addresses and ranges where deliveries may go beside the public internet over HTTPS. */
  readonly allowedAddresses: readonly string[];
  readonly pagerDutyUrl: string;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** The variables of this process, for the entry point to hand down. */
export const systemEnvironment = (): Environment => process.env;

/** Where the command line finds a running server, and as whom it calls. */
export interface ClientConfig {
  /** Without a trailing slash. */
  readonly url: string;
  readonly apiKey: string | null;
  /** Certificates in PEM to trust beside those that Node.js trusts; null: none. */
  readonly caFile: string | null;
}

/**
 * Reads the configuration once: the environment over the YAML file that `GATEHOUSE_CONFIG` names (a flat mapping of
 * the same names, and the section `limits`). Empty variables count as absent.
 * @throws AppError `config_invalid` that lists every problem with the variable's name and an example.
 */
export function loadConfig(environment: Environment = process.env): Config {
  const file = readConfigFile(environment.GATEHOUSE_CONFIG);
  const given = { ...file.settings, ...withoutEmpty(environment) };
  const parsed = serverVariables.safeParse(given);
  const limits = limitsSection.safeParse(file.limits ?? {});
  const problems = [
    ...(parsed.success ? [] : problemsIn(parsed.error)),
    ...incompleteProviders(given),
    ...incompleteS3(given),
    ...incompleteTls(given),
    ...incompleteSecrets(given),
    ...incompleteMail(given),
    ...(limits.success ? [] : problemsInLimits(limits.error)),
  ];
  if (!parsed.success || !limits.success || problems.length > 0) throw invalidConfig(problems);
  const v = parsed.data;
  return {
    host: v.HOST,
    port: v.PORT,
    dataDir: resolve(v.GATEHOUSE_DATA_DIR),
    publicUrl: v.GATEHOUSE_PUBLIC_URL ?? null,
    databaseUrl: v.DATABASE_URL ?? null,
    // The embedded server shares the machine, so it gets the smaller pool (RUN-11).
    databasePool: poolSizes(v.DATABASE_POOL_MIN, v.DATABASE_POOL_MAX ?? (v.DATABASE_URL ? 50 : 20)),
    statementTimeoutMs: v.DATABASE_STATEMENT_TIMEOUT_MS,
    redisUrl: v.REDIS_URL ?? null,
    redisTimeoutMs: v.REDIS_TIMEOUT_MS,
    s3:
      v.S3_BUCKET && v.S3_ACCESS_KEY_ID && v.S3_SECRET_ACCESS_KEY
        ? {
            endpoint: v.S3_ENDPOINT ?? null,
            bucket: v.S3_BUCKET,
            region: v.S3_REGION,
            accessKeyId: v.S3_ACCESS_KEY_ID,
            secretAccessKey: v.S3_SECRET_ACCESS_KEY,
          }
        : null,
    cache: {
      maxBytes: v.GATEHOUSE_CACHE_BYTES,
      maxRedisBytesPerTenant: v.GATEHOUSE_CACHE_REDIS_BYTES,
      ttlMs: v.GATEHOUSE_CACHE_TTL_SECONDS * 1000,
      staleMs: v.GATEHOUSE_CACHE_STALE_SECONDS * 1000,
    },
    auditDays: v.GATEHOUSE_AUDIT_DAYS,
    secrets: secretsConfig(v, environment),
    adminKey: v.GATEHOUSE_ADMIN_KEY ?? null,
    region: v.GATEHOUSE_REGION,
    limits: limits.data,
    trustedProxies: v.GATEHOUSE_TRUSTED_PROXIES,
    http: httpConfig(v),
    drainMs: v.GATEHOUSE_DRAIN_SECONDS * 1000,
    shutdownMs: v.GATEHOUSE_SHUTDOWN_SECONDS * 1000,
    notifications: {
      allowedAddresses: v.GATEHOUSE_NOTIFY_ALLOW,
      pagerDutyUrl: v.GATEHOUSE_PAGERDUTY_URL,
    },
    mail: mailConfig(v),
    logLevel: v.LOG_LEVEL,
    environmentProviders: environmentProviders(v),
  };
}

/**
 * What a command needs to call a running server. Only this part is checked: a command that asks a question has no use
 * for a complaint about the server's own settings.
 * @throws AppError `config_invalid`, as `loadConfig` does.
 */
export function loadClientConfig(environment: Environment = process.env): ClientConfig {
  const { settings } = readConfigFile(environment.GATEHOUSE_CONFIG);
  const parsed = clientVariables.safeParse({ ...settings, ...withoutEmpty(environment) });
  if (!parsed.success) throw invalidConfig(problemsIn(parsed.error));
  const v = parsed.data;
  const scheme = v.TLS_CERT_FILE ? 'https' : 'http';
  return {
    url: (v.GATEHOUSE_URL ?? `${scheme}://${reachableHost(v.HOST)}:${v.PORT || 8080}`).replace(/\/+$/, ''),
    apiKey: v.GATEHOUSE_API_KEY ?? null,
    caFile: v.GATEHOUSE_CA_FILE ?? null,
  };
}

/** A server told to listen on every address is reached from its own machine by the loopback one. */
function reachableHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

/** The names of all variables that are read. */
export const knownVariables = (): string[] => Object.keys(examples);

/** Names beginning with GATEHOUSE_ that nothing reads: most likely a slip of the keyboard, worth a warning. */
export function unknownVariables(environment: Environment = process.env): string[] {
  return Object.keys(environment).filter(
    (name) => name.startsWith('GATEHOUSE_') && !(name in examples) && !isSecretVariable(name),
  );
}

function poolSizes(min: number, max: number) {
  return { min: Math.min(min, max), max };
}

function withoutEmpty(environment: Environment): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).filter((entry): entry is [string, string] => Boolean(entry[1])),
  );
}
