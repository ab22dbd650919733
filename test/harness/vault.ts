import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { startStandIn } from './stand-in.ts';

/**
 * Speaks what Gatehouse says to HashiCorp Vault, as its API documentation has it: AppRole, KV version 2 and Transit with
 * associated data. A token it gave out ends when told to.
 */
export interface TestVault {
  readonly url: string;
  readonly token: string;
  /** By `path`, the fields of a secret. */
  readonly secrets: Map<string, Record<string, unknown>>;
  /** Makes another Transit key than `gatehouse`. */
  makeKey(name: string): void;
  /** Transit keys that every operation is refused on. */
  readonly revokedKeys: Set<string>;
  /** Refuses every operation on the Transit key, as a policy that was changed does. */
  revoked: boolean;
  /** Answers 503, as a sealed Vault does. */
  sealed: boolean;
  /** Tokens of roles that were given out end. */
  endTokens(): void;
  logins(): number;
  stop(): Promise<void>;
}

export const testRole = { roleId: 'test-role', secretId: 'test-secret-id' };

export async function startVault(): Promise<TestVault> {
  const token = 'test-vault-token';
  const secrets = new Map<string, Record<string, unknown>>();
  const keys = new Map([['gatehouse', [randomBytes(32)]]]);
  const revokedKeys = new Set<string>();
  const roleTokens = new Set<string>();
  let logins = 0;
  const state = { revoked: false, sealed: false };
  const ok = (data: unknown) => ({ status: 200, json: { request_id: 'test', data } });
  const error = (status: number, ...errors: string[]) => ({ status, json: { errors } });

  const transit = (operation: string, body: Record<string, string>) => {
    const about = Buffer.from(body.associated_data ?? '', 'base64');
    const [what, name = '', more] = operation.split('/');
    const versions = keys.get(name);
    if (!versions) return error(400, 'encryption key not found');
    if (revokedKeys.has(name)) return error(403, 'permission denied');
    if (what === 'keys' && more === undefined)
      return ok({ latest_version: versions.length, type: 'aes256-gcm96' });
    if (what === 'keys' && more === 'rotate') {
      versions.push(randomBytes(32));
      return ok({ latest_version: versions.length });
    }
    if (what === 'encrypt') {
      const iv = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', versions.at(-1) ?? '', iv);
      cipher.setAAD(about);
      const parts = [
        iv,
        cipher.update(Buffer.from(body.plaintext ?? '', 'base64')),
        cipher.final(),
        cipher.getAuthTag(),
      ];
      return ok({ ciphertext: `vault:v${versions.length}:${Buffer.concat(parts).toString('base64')}` });
    }
    const [, version, text] = /^vault:v(\d+):(.*)$/.exec(body.ciphertext ?? '') ?? [];
    const key = versions[Number(version) - 1];
    if (what !== 'decrypt' || !key || text === undefined) return error(400, 'invalid ciphertext');
    try {
      const bytes = Buffer.from(text, 'base64');
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12));
      decipher.setAAD(about);
      decipher.setAuthTag(bytes.subarray(-16));
      const plain = Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()]);
      return ok({ plaintext: plain.toString('base64') });
    } catch {
      return error(400, 'cipher: message authentication failed');
    }
  };

  const server = await startStandIn((request, text) => {
    const path = (request.url ?? '').slice('/v1/'.length);
    const body = text === '' ? {} : (JSON.parse(text) as Record<string, string>);
    if (state.sealed) return error(503, 'Vault is sealed');
    if (path === 'auth/approle/login') {
      if (body.role_id !== testRole.roleId || body.secret_id !== testRole.secretId) {
        return error(400, 'invalid role or secret ID');
      }
      logins += 1;
      const given = `role-token-${randomBytes(6).toString('hex')}`;
      roleTokens.add(given);
      return { status: 200, json: { auth: { client_token: given, lease_duration: 60 } } };
    }
    const presented = String(request.headers['x-vault-token'] ?? '');
    if (presented !== token && !roleTokens.has(presented)) return error(403, 'permission denied');
    if (path.startsWith('transit/')) {
      return state.revoked ? error(403, 'permission denied') : transit(path.slice('transit/'.length), body);
    }
    const secret = secrets.get(path.replace(/^secret\/data\//, ''));
    return secret ? ok({ data: secret, metadata: { version: 1 } }) : error(404);
  });
  return Object.assign(state, {
    url: server.url,
    token,
    secrets,
    revokedKeys,
    makeKey: (name: string) => void keys.set(name, [randomBytes(32)]),
    endTokens: () => roleTokens.clear(),
    logins: () => logins,
    stop: server.stop,
  });
}
