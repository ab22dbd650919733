import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import {
  environmentProviders,
  incompleteProviders,
  type ProviderFromEnvironment,
  providerVariables,
} from './environment-providers.ts';
import { AppError } from './errors.ts';
import { type HttpConfig, httpConfig, httpExamples, httpVariables, incompleteTls } from './http-settings.ts';
import { ipRangeOf } from './ip-address.ts';
import { type LimitsConfig, limitsSection } from './limits-settings.ts';
import {
  incompleteSecrets,
  isSecretVariable,
  type SecretsConfig,
  secretsConfig,
  secretsExamples,
  secretsVariables,
} from './secrets-settings.ts';

/** The variables that Gatehouse reads, each with an example that is shown when it is wrong. */
const examples: Record<string, string> = {
  HOST: '127.0.0.1',
  PORT: '8080',
  GATEHOUSE_DATA_DIR: './data',
  GATEHOUSE_PUBLIC_URL: 'https://models.example.com',
  DATABASE_URL: 'postgres://gatehouse:secret@db.internal:5432/gatehouse',
  DATABASE_POOL_MIN: '10',
  DATABASE_POOL_MAX: '50',
  DATABASE_STATEMENT_TIMEOUT_MS: '5000',
  REDIS_URL: 'rediss://gatehouse:secret@redis.internal:6379',
  REDIS_TIMEOUT_MS: '50',
  GATEHOUSE_CACHE_BYTES: '67108864',
  GATEHOUSE_CACHE_REDIS_BYTES: '268435456',
  GATEHOUSE_CACHE_TTL_SECONDS: '3600',
  GATEHOUSE_CACHE_STALE_SECONDS: '86400',
  GATEHOUSE_AUDIT_DAYS: '90',
  GATEHOUSE_MASTER_KEY: 'the output of: openssl rand -base64 32',
  ...secretsExamples,
  GATEHOUSE_ADMIN_KEY: 'the output of: openssl rand -hex 24',
  GATEHOUSE_CONFIG: './gatehouse.yaml',
  GATEHOUSE_REGION: 'eu',
  GATEHOUSE_TRUSTED_PROXIES: '10.0.0.0/8, 2001:db8::/32',
  ...httpExamples,
  GATEHOUSE_DRAIN_SECONDS: '5',
  GATEHOUSE_SHUTDOWN_SECONDS: '30',
  GATEHOUSE_NOTIFY_ALLOW: 'hooks.internal,10.20.0.0/16',
  GATEHOUSE_PAGERDUTY_URL: 'https://events.eu.pagerduty.com/v2/enqueue',
  GATEHOUSE_URL: 'http://127.0.0.1:8080',
  GATEHOUSE_API_KEY: 'gh_…',
  S3_ENDPOINT: 'https://s3.eu-central-1.amazonaws.com',
  S3_BUCKET: 'gatehouse',
  S3_REGION: 'eu-central-1',
  S3_ACCESS_KEY_ID: 'the id of an access key',
  S3_SECRET_ACCESS_KEY: 'its secret',
  LOG_LEVEL: 'info',
  ...providerVariables,
};

const url = (protocols: string[]) =>
  z.string().refine((text) => URL.canParse(text) && protocols.includes(new URL(text).protocol), {
    message: `must be a URL that starts with ${protocols.map((p) => `${p}//`).join(' or ')}`,
  });
const wholeNumber = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d+$/, 'must be a whole number')
    .transform(Number)
    .refine((n) => n >= least && n <= most, { message: `must be from ${least} to ${most}` });
const key = z.string().trim().min(1, 'must not be empty');
const addressRanges = z
  .string()
  .transform((text) => text.split(',').map((range) => range.trim()))
  .refine((ranges) => ranges.length <= 1_000 && ranges.every((range) => ipRangeOf(range) !== null), {
    message: 'must be addresses and ranges with commas between them, 1,000 at most',
  });

const hostsAndRanges = z
  .string()
  .transform((text) => text.split(',').map((entry) => entry.trim()))
  .refine((entries) => entries.length <= 1_000 && entries.every(isHostOrRange), {
    message: 'must be host names, addresses and ranges with commas between them, 1,000 at most',
  });

const schema = z.object({
  HOST: z.string().trim().min(1, 'must not be empty').default('127.0.0.1'),
  PORT: wholeNumber(0, 65_535).default(8080),
  GATEHOUSE_DATA_DIR: z.string().min(1, 'must not be empty').default('./data'),
  GATEHOUSE_PUBLIC_URL: url(['http:', 'https:']).optional(),
  DATABASE_URL: url(['postgres:', 'postgresql:']).optional(),
  DATABASE_POOL_MIN: wholeNumber(0, 1_000).default(10),
  DATABASE_POOL_MAX: wholeNumber(1, 1_000).optional(),
  DATABASE_STATEMENT_TIMEOUT_MS: wholeNumber(100, 600_000).default(5_000),
  REDIS_URL: url(['redis:', 'rediss:']).optional(),
  REDIS_TIMEOUT_MS: wholeNumber(5, 5_000).default(50),
  GATEHOUSE_CACHE_BYTES: wholeNumber(1024 ** 2, 64 * 1024 ** 3).default(64 * 1024 ** 2),
  GATEHOUSE_CACHE_REDIS_BYTES: wholeNumber(1024 ** 2, 1024 ** 4).default(256 * 1024 ** 2),
  GATEHOUSE_CACHE_TTL_SECONDS: wholeNumber(1, 86_400).default(3_600),
  GATEHOUSE_CACHE_STALE_SECONDS: wholeNumber(0, 86_400).default(86_400),
  GATEHOUSE_AUDIT_DAYS: wholeNumber(1, 36_500).default(90),
  ...secretsVariables,
  GATEHOUSE_ADMIN_KEY: z
    .string()
    .min(16, 'must have at least 16 characters, or it could be guessed')
    .max(512, 'must have at most 512 characters')
    .regex(/^[\x21-\x7e]+$/, 'must be printable ASCII without spaces')
    .optional(),
  GATEHOUSE_REGION: z.enum(['eu', 'us', 'apac']).default('eu'),
  GATEHOUSE_TRUSTED_PROXIES: addressRanges.default([]),
  ...httpVariables,
  GATEHOUSE_DRAIN_SECONDS: wholeNumber(0, 600).default(5),
  GATEHOUSE_SHUTDOWN_SECONDS: wholeNumber(0, 3_600).default(30),
  GATEHOUSE_NOTIFY_ALLOW: hostsAndRanges.default([]),
  GATEHOUSE_PAGERDUTY_URL: url(['http:', 'https:']).default('https://events.pagerduty.com/v2/enqueue'),
  S3_ENDPOINT: url(['http:', 'https:']).optional(),
  S3_BUCKET: key.optional(),
  S3_REGION: key.default('us-east-1'),
  S3_ACCESS_KEY_ID: key.optional(),
  S3_SECRET_ACCESS_KEY: key.optional(),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  OPENAI_API_KEY: key.optional(),
  OPENAI_BASE_URL: url(['http:', 'https:']).optional(),
  ANTHROPIC_API_KEY: key.optional(),
  GEMINI_API_KEY: key.optional(),
  AZURE_OPENAI_API_KEY: key.optional(),
  AZURE_OPENAI_BASE_URL: url(['http:', 'https:']).optional(),
  // Checked where it is used: on many machines it is set for other programs, and not always to a region.
  AWS_REGION: z.string().trim().optional(),
  AWS_BEARER_TOKEN_BEDROCK: key.optional(),
  AWS_ACCESS_KEY_ID: key.optional(),
  AWS_SECRET_ACCESS_KEY: key.optional(),
  AWS_SESSION_TOKEN: key.optional(),
  KAPA_API_KEY: key.optional(),
  KAPA_PROJECT_ID: z
    .string()
    .trim()
    .regex(/^[A-Za-z0-9_-]{1,100}$/, 'must be letters, digits, hyphens or underscores')
    .optional(),
  MISTRAL_API_KEY: key.optional(),
  GROQ_API_KEY: key.optional(),
  DEEPSEEK_API_KEY: key.optional(),
  OLLAMA_BASE_URL: url(['http:', 'https:']).optional(),
});

const clientSchema = schema.pick({ HOST: true, PORT: true }).extend({
  GATEHOUSE_URL: url(['http:', 'https:']).optional(),
  GATEHOUSE_API_KEY: key.optional(),
});

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
}

/**
 * Reads the configuration once: the environment over the YAML file that `GATEHOUSE_CONFIG` names (a flat mapping of
 * the same names, and the section `limits`). Empty variables count as absent.
 * @throws AppError `config_invalid` that lists every problem with the variable's name and an example.
 */
export function loadConfig(environment: Environment = process.env): Config {
  const file = readConfigFile(environment.GATEHOUSE_CONFIG);
  const given = { ...file.settings, ...withoutEmpty(environment) };
  const parsed = schema.safeParse(given);
  const limits = limitsSection.safeParse(file.limits ?? {});
  const problems = [
    ...(parsed.success ? [] : problemsIn(parsed.error)),
    ...incompleteProviders(given),
    ...incompleteS3(given),
    ...incompleteTls(given),
    ...incompleteSecrets(given),
    ...(limits.success ? [] : problemsInLimits(limits.error)),
  ];
  if (!parsed.success || !limits.success || problems.length > 0) throw invalid(problems);
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
  const parsed = clientSchema.safeParse({ ...settings, ...withoutEmpty(environment) });
  if (!parsed.success) throw invalid(problemsIn(parsed.error));
  const v = parsed.data;
  return {
    url: (v.GATEHOUSE_URL ?? `http://${reachableHost(v.HOST)}:${v.PORT || 8080}`).replace(/\/+$/, ''),
    apiKey: v.GATEHOUSE_API_KEY ?? null,
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

const s3Needs = ['S3_BUCKET', 'S3_ACCESS_KEY_ID', 'S3_SECRET_ACCESS_KEY'] as const;

/** Whoever sets a part of S3 means all of it. */
function incompleteS3(given: Readonly<Record<string, string>>): { path: string; message: string }[] {
  if (!given.S3_ENDPOINT && s3Needs.every((name) => !given[name])) return [];
  return s3Needs
    .filter((name) => !given[name])
    .map((path) => ({ path, message: `is needed for S3, for example ${path}=${examples[path]}` }));
}

function isHostOrRange(entry: string): boolean {
  return ipRangeOf(entry) !== null || /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(entry);
}

function poolSizes(min: number, max: number) {
  return { min: Math.min(min, max), max };
}

function withoutEmpty(environment: Environment): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).filter((entry): entry is [string, string] => Boolean(entry[1])),
  );
}

interface ConfigFile {
  readonly settings: Readonly<Record<string, string>>;
  /** The section as it was written, not looked at yet. */
  readonly limits?: unknown;
}

function readConfigFile(path: string | undefined): ConfigFile {
  if (!path) return { settings: {} };
  let content: unknown;
  try {
    content = parseYaml(readFileSync(path, 'utf8')) ?? {};
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw invalid([{ path: 'GATEHOUSE_CONFIG', message: `cannot be read as YAML: ${why}` }], cause);
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw invalid([{ path: 'GATEHOUSE_CONFIG', message: 'must hold a mapping, for example PORT: 8080' }]);
  }
  const { limits, ...settings } = content as Record<string, unknown>;
  const entries = Object.entries(settings);
  const problems = entries
    .filter(([name]) => !(name in examples))
    .map(([name]) => ({ path: name, message: `in ${path} is not a setting; see docs/configuration.md` }));
  if (problems.length > 0) throw invalid(problems);
  return { settings: Object.fromEntries(entries.map(([name, value]) => [name, String(value)])), limits };
}

function problemsInLimits(error: z.ZodError): { path: string; message: string }[] {
  return error.issues.map((issue) => ({
    path: ['limits', ...issue.path].join('.'),
    message: `${issue.message}; see docs/limits.md`,
  }));
}

function problemsIn(error: z.ZodError): { path: string; message: string }[] {
  return error.issues.map((issue) => {
    const name = String(issue.path[0]);
    return { path: name, message: `${issue.message}, for example ${name}=${examples[name] ?? '…'}` };
  });
}

function invalid(errors: { path: string; message: string }[], cause?: unknown): AppError {
  const lines = errors.map((e) => `  ${e.path} ${e.message}`).join('\n');
  return new AppError('config_invalid', `The configuration is not usable:\n${lines}`, { errors, cause });
}
