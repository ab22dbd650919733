import { isAbsolute } from 'node:path';
import { z } from 'zod';
import { engines } from './keyring/key-encryption.ts';
import { mostMasterKeys } from './keyring/master-keys.ts';

/** Variables about keys of stored secrets and about references to secrets that are kept elsewhere. */

export const secretsExamples = {
  GATEHOUSE_MASTER_KEYS_OLD:
    'keys that were GATEHOUSE_MASTER_KEY before, or will be, with commas between them',
  GATEHOUSE_KEYRING_FILE: '/run/secrets/gatehouse-keyring',
  GATEHOUSE_KEY_ENGINE: 'local',
  GATEHOUSE_KEY_ROTATION_DAYS: '90',
  GATEHOUSE_KEY_OUTAGE_SECONDS: '900',
  GATEHOUSE_VAULT_TRANSIT_MOUNT: 'transit',
  GATEHOUSE_VAULT_TRANSIT_KEY: 'gatehouse',
  GATEHOUSE_VAULT_KV_MOUNT: 'secret',
  GATEHOUSE_VAULT_ROLE_ID: 'the role id of an AppRole',
  GATEHOUSE_VAULT_SECRET_ID: 'its secret id',
  VAULT_ADDR: 'https://vault.internal:8200',
  VAULT_TOKEN: 'hvs.…',
  VAULT_NAMESPACE: 'platform/gatehouse',
  GATEHOUSE_KMS_KEY: 'arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab',
  GATEHOUSE_KMS_ENDPOINT: 'https://kms.eu-central-1.amazonaws.com',
  GATEHOUSE_SECRET_DIRS: '/run/secrets,/etc/gatehouse/secrets',
} as const;

const text = z.string().trim().min(1, 'must not be empty').optional();
const web = z
  .string()
  .refine((given) => URL.canParse(given) && ['http:', 'https:'].includes(new URL(given).protocol), {
    message: 'must be a URL that starts with http:// or https://',
  })
  .optional();
const wholeNumber = (least: number, most: number, otherwise: number) =>
  z
    .string()
    .regex(/^\d+$/, 'must be a whole number')
    .transform(Number)
    .refine((n) => n >= least && n <= most, { message: `must be from ${least} to ${most}` })
    .default(otherwise);
const list = (given: string) =>
  given
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
const isKey = (given: string) => Buffer.from(given, 'base64').length === 32;
const mountPath = z
  .string()
  .regex(/^[A-Za-z0-9_-]+(\/[A-Za-z0-9_-]+)*$/, 'must be the path of a mount, without slashes around it');

export const secretsVariables = {
  GATEHOUSE_MASTER_KEY: z.string().refine(isKey, { message: 'must be 32 bytes in base64' }).optional(),
  GATEHOUSE_MASTER_KEYS_OLD: z
    .string()
    .transform(list)
    .refine((keys) => keys.length < mostMasterKeys && keys.every(isKey), {
      message: `must be keys of 32 bytes in base64 with commas between them, fewer than ${mostMasterKeys}`,
    })
    .default([]),
  GATEHOUSE_KEYRING_FILE: text,
  GATEHOUSE_KEY_ENGINE: z.enum(engines).default('local'),
  GATEHOUSE_KEY_ROTATION_DAYS: wholeNumber(1, 3_650, 90),
  GATEHOUSE_KEY_OUTAGE_SECONDS: wholeNumber(0, 86_400, 900),
  GATEHOUSE_VAULT_TRANSIT_MOUNT: mountPath.default('transit'),
  GATEHOUSE_VAULT_TRANSIT_KEY: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{1,200}$/, 'must be the name of a key')
    .optional(),
  GATEHOUSE_VAULT_KV_MOUNT: mountPath.default('secret'),
  GATEHOUSE_VAULT_ROLE_ID: text,
  GATEHOUSE_VAULT_SECRET_ID: text,
  VAULT_ADDR: web,
  VAULT_TOKEN: text,
  VAULT_NAMESPACE: text,
  GATEHOUSE_KMS_KEY: text,
  GATEHOUSE_KMS_ENDPOINT: web,
  GATEHOUSE_SECRET_DIRS: z
    .string()
    .transform(list)
    .refine((directories) => directories.length <= 100 && directories.every(isAbsolute), {
      message: 'must be absolute paths with commas between them, 100 at most',
    })
    .default([]),
};

export interface VaultConfig {
  readonly address: string;
  readonly namespace: string | null;
  readonly login: { readonly token: string } | { readonly roleId: string; readonly secretId: string };
  readonly transitMount: string;
  /** Null: Vault holds no key-encryption key of ours. */
  readonly transitKey: string | null;
  readonly kvMount: string;
}

export interface KmsConfig {
  /** An ARN, an id or an alias. */
  readonly key: string;
  readonly region: string;
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string | null;
}

export interface SecretsConfig {
  /** 32 bytes; absent: read from the keyring file, or from, or generated into, the data directory. */
  readonly masterKey: Buffer | null;
  readonly oldMasterKeys: readonly Buffer[];
  /** A file that all instances read. */
  readonly keyringFile: string | null;
  /** What wraps data keys; the other engines that are configured still unwrap. */
  readonly engine: (typeof engines)[number];
  readonly rotateAfterMs: number;
  readonly outageMs: number;
  readonly vault: VaultConfig | null;
  readonly kms: KmsConfig | null;
  /** Absolute: where files that references name may lie. */
  readonly directories: readonly string[];
  /** Of names that begin with GATEHOUSE_SECRET_. Shown to nobody. */
  readonly variables: ReadonlyMap<string, string>;
}

/** Whether references may name it. */
export const isSecretVariable = (name: string): boolean =>
  /^GATEHOUSE_SECRET_[A-Z0-9_]+$/.test(name) && name !== 'GATEHOUSE_SECRET_DIRS';

const schema = z.object(secretsVariables);
type Values = z.infer<typeof schema> & {
  readonly AWS_REGION?: string | undefined;
  readonly AWS_ACCESS_KEY_ID?: string | undefined;
  readonly AWS_SECRET_ACCESS_KEY?: string | undefined;
  readonly AWS_SESSION_TOKEN?: string | undefined;
};

export function secretsConfig(
  v: Values,
  environment: Readonly<Record<string, string | undefined>>,
): SecretsConfig {
  const dayMs = 86_400_000;
  return {
    masterKey: v.GATEHOUSE_MASTER_KEY ? Buffer.from(v.GATEHOUSE_MASTER_KEY, 'base64') : null,
    oldMasterKeys: v.GATEHOUSE_MASTER_KEYS_OLD.map((key) => Buffer.from(key, 'base64')),
    keyringFile: v.GATEHOUSE_KEYRING_FILE ?? null,
    engine: v.GATEHOUSE_KEY_ENGINE,
    rotateAfterMs: v.GATEHOUSE_KEY_ROTATION_DAYS * dayMs,
    outageMs: v.GATEHOUSE_KEY_OUTAGE_SECONDS * 1_000,
    vault: vaultConfig(v),
    kms: kmsConfig(v),
    directories: v.GATEHOUSE_SECRET_DIRS,
    variables: new Map(
      Object.entries(environment).flatMap(([name, value]) =>
        value && isSecretVariable(name) ? [[name, value] as const] : [],
      ),
    ),
  };
}

function vaultConfig(v: Values): VaultConfig | null {
  const { VAULT_ADDR: address, VAULT_TOKEN: token } = v;
  const { GATEHOUSE_VAULT_ROLE_ID: roleId, GATEHOUSE_VAULT_SECRET_ID: secretId } = v;
  const login = roleId && secretId ? { roleId, secretId } : token ? { token } : null;
  if (!address || !login) return null;
  return {
    address: address.replace(/\/+$/, ''),
    namespace: v.VAULT_NAMESPACE ?? null,
    login,
    transitMount: v.GATEHOUSE_VAULT_TRANSIT_MOUNT,
    transitKey: v.GATEHOUSE_VAULT_TRANSIT_KEY ?? null,
    kvMount: v.GATEHOUSE_VAULT_KV_MOUNT,
  };
}

function kmsConfig(v: Values): KmsConfig | null {
  const {
    GATEHOUSE_KMS_KEY: key,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
  } = v;
  // The key's own name says where it is.
  const region = /^arn:[\w-]+:kms:([\w-]+):/.exec(key ?? '')?.[1] ?? v.AWS_REGION;
  if (!key || !region || !accessKeyId || !secretAccessKey) return null;
  return {
    key,
    region,
    endpoint: v.GATEHOUSE_KMS_ENDPOINT ?? `https://kms.${region}.amazonaws.com`,
    accessKeyId,
    secretAccessKey,
    sessionToken: v.AWS_SESSION_TOKEN ?? null,
  };
}

/** Whoever names an engine, or a part of one, means all of it. */
export function incompleteSecrets(
  given: Readonly<Record<string, string>>,
): { path: string; message: string }[] {
  const needs = (path: string, why: string) =>
    given[path] ? [] : [{ path, message: `is needed for ${why}, for example ${path}=${exampleOf(path)}` }];
  const engine = given.GATEHOUSE_KEY_ENGINE;
  const usesTransit = engine === 'vault' || Boolean(given.GATEHOUSE_VAULT_TRANSIT_KEY);
  const usesRole = Boolean(given.GATEHOUSE_VAULT_ROLE_ID || given.GATEHOUSE_VAULT_SECRET_ID);
  const usesKms = engine === 'aws' || Boolean(given.GATEHOUSE_KMS_KEY);
  return [
    ...(given.GATEHOUSE_MASTER_KEY && given.GATEHOUSE_KEYRING_FILE
      ? [{ path: 'GATEHOUSE_KEYRING_FILE', message: 'must not be set together with GATEHOUSE_MASTER_KEY' }]
      : []),
    ...(usesTransit ? needs('VAULT_ADDR', 'HashiCorp Vault') : []),
    ...(engine === 'vault' ? needs('GATEHOUSE_VAULT_TRANSIT_KEY', 'the engine vault') : []),
    ...(usesRole
      ? [...needs('GATEHOUSE_VAULT_ROLE_ID', 'AppRole'), ...needs('GATEHOUSE_VAULT_SECRET_ID', 'AppRole')]
      : usesTransit
        ? needs('VAULT_TOKEN', 'HashiCorp Vault')
        : []),
    ...(engine === 'aws' ? needs('GATEHOUSE_KMS_KEY', 'the engine aws') : []),
    ...(usesKms
      ? [...needs('AWS_ACCESS_KEY_ID', 'AWS KMS'), ...needs('AWS_SECRET_ACCESS_KEY', 'AWS KMS')]
      : []),
    ...(usesKms && !given.GATEHOUSE_KMS_KEY?.startsWith('arn:') ? needs('AWS_REGION', 'AWS KMS') : []),
  ];
}

const awsExamples: Readonly<Record<string, string>> = {
  AWS_REGION: 'eu-central-1',
  AWS_ACCESS_KEY_ID: 'the id of an access key',
  AWS_SECRET_ACCESS_KEY: 'its secret',
};
const exampleOf = (name: string): string =>
  (secretsExamples as Readonly<Record<string, string>>)[name] ?? awsExamples[name] ?? '…';
