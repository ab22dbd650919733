import { z } from 'zod';
import { AppError } from '../errors.ts';
import type { VaultConfig } from '../secrets-settings.ts';
import type { KeyTrouble } from './key-encryption.ts';

/** `unknown`: what was asked for is not there. Its message names no secret. */
export class VaultError extends AppError {
  readonly trouble: KeyTrouble;

  constructor(trouble: KeyTrouble, detail: string, cause?: unknown) {
    super('dependency_down', detail, cause === undefined ? {} : { cause });
    this.name = 'VaultError';
    this.trouble = trouble;
  }
}

export interface VaultClient {
  /** @param path behind `/v1/`. @returns the member `data`. @throws VaultError */
  call(method: 'GET' | 'POST', path: string, body?: object): Promise<unknown>;
  /** A field of a secret in the KV engine, version 2. @throws VaultError */
  readSecret(path: string, field: string): Promise<string>;
}

const timeoutMs = 5_000;
const mostBytes = 1024 * 1024;
const loginReply = z.object({ auth: z.object({ client_token: z.string() }) });
const errorReply = z.object({ errors: z.array(z.string()) });
const kvReply = z.object({ data: z.record(z.string(), z.unknown()) });

/** HashiCorp Vault over HTTP (https://developer.hashicorp.com/vault/api-docs), by a token or an AppRole. */
export function createVaultClient(config: VaultConfig): VaultClient {
  /** Of the AppRole; got when first needed, and anew once it is refused. */
  let login: Promise<string> | null = null;

  const request = async (method: string, path: string, body: object | undefined, token: string | null) => {
    let response: Response;
    let text: string;
    try {
      response = await fetch(`${config.address}/v1/${path}`, {
        method,
        // A redirect would take the token elsewhere.
        redirect: 'error',
        signal: AbortSignal.timeout(timeoutMs),
        headers: {
          'x-vault-request': 'true',
          ...(token === null ? {} : { 'x-vault-token': token }),
          ...(config.namespace === null ? {} : { 'x-vault-namespace': config.namespace }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      text = await response.text();
    } catch (cause) {
      throw new VaultError(
        'unreachable',
        `Vault does not answer (${path}). Is VAULT_ADDR right, and Vault up?`,
        cause,
      );
    }
    if (text.length > mostBytes)
      throw new VaultError('refused', `Vault answered with more than 1 MB (${path}).`);
    return { status: response.status, json: parsed(text) };
  };

  const tokenNow = (): Promise<string> => {
    if ('token' in config.login) return Promise.resolve(config.login.token);
    const { roleId: role_id, secretId: secret_id } = config.login;
    login ??= request('POST', 'auth/approle/login', { role_id, secret_id }, null).then(({ status, json }) => {
      const reply = loginReply.safeParse(json);
      if (reply.success) return reply.data.auth.client_token;
      throw failure(status, 'auth/approle/login', json);
    });
    // A login that failed is tried again with the next call.
    login.catch(() => {
      login = null;
    });
    return login;
  };

  const call: VaultClient['call'] = async (method, path, body) => {
    let reply = await request(method, path, body, await tokenNow());
    if (reply.status === 403 && !('token' in config.login)) {
      // Tokens of a role end; another one tells whether that was all.
      login = null;
      reply = await request(method, path, body, await tokenNow());
    }
    if (reply.status >= 300) throw failure(reply.status, path, reply.json);
    return (reply.json as { data?: unknown } | null)?.data ?? null;
  };

  return {
    call,
    async readSecret(path, field) {
      const data = kvReply.safeParse(await call('GET', `${config.kvMount}/data/${path}`));
      if (!data.success) throw new VaultError('unknown', `vault:${path} holds no secret.`);
      const value = data.data.data[field];
      if (typeof value === 'string' && value !== '') return value;
      throw new VaultError('unknown', `vault:${path} has no field "${field}" that is a text.`);
    },
  };
}

function failure(status: number, path: string, json: unknown): VaultError {
  const told = errorReply.safeParse(json);
  const said =
    told.success && told.data.errors.length > 0 ? `: ${told.data.errors.join('; ').slice(0, 300)}` : '';
  // https://developer.hashicorp.com/vault/api-docs#http-status-codes: 429 and 5xx say nothing of the key.
  if (status === 429 || status >= 472)
    return new VaultError('unreachable', `Vault cannot serve now (${path}, ${status})${said}.`);
  if (status === 404) return new VaultError('unknown', `Vault has nothing at ${path}${said}.`);
  return new VaultError(
    'refused',
    `Vault refuses ${path} (${status})${said}. Look at the policy of the token.`,
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
