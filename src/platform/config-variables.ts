import { z } from 'zod';
import { providerVariables } from './environment-providers.ts';
import { httpExamples, httpVariables } from './http-settings.ts';
import { ipRangeOf } from './ip-address.ts';
import { mailExamples, mailVariables } from './mail-settings.ts';
import { secretsExamples, secretsVariables } from './secrets-settings.ts';

/** The variables that Gatehouse reads, each with an example that is shown when it is wrong. */
export const examples: Record<string, string> = {
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
  GATEHOUSE_CA_FILE: '/etc/ssl/company-ca.pem',
  ...mailExamples,
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

/** What each may be, and what it is where nobody says. */
export const serverVariables = z.object({
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
  ...mailVariables,
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

/** What a command needs that calls a running server. */
export const clientVariables = serverVariables.pick({ HOST: true, PORT: true, TLS_CERT_FILE: true }).extend({
  GATEHOUSE_URL: url(['http:', 'https:']).optional(),
  GATEHOUSE_API_KEY: key.optional(),
  GATEHOUSE_CA_FILE: key.optional(),
});

const s3Needs = ['S3_BUCKET', 'S3_ACCESS_KEY_ID', 'S3_SECRET_ACCESS_KEY'] as const;

/** Whoever sets a part of S3 means all of it. */
export function incompleteS3(given: Readonly<Record<string, string>>): { path: string; message: string }[] {
  if (!given.S3_ENDPOINT && s3Needs.every((name) => !given[name])) return [];
  return s3Needs
    .filter((name) => !given[name])
    .map((path) => ({ path, message: `is needed for S3, for example ${path}=${examples[path]}` }));
}

function isHostOrRange(entry: string): boolean {
  return ipRangeOf(entry) !== null || /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(entry);
}
