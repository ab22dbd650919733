import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { sql } from 'kysely';
import {
  type Access,
  createAccess,
  createAccessStore,
  createTokens,
  type TenantFacts,
  type Tokens,
} from '../../src/access/index.ts';
import { createAddressGuard } from '../../src/notifications/index.ts';
import { type Clock, systemClock } from '../../src/platform/clock.ts';
import { createNotifications } from '../../src/platform/database/notifications.ts';
import { createIds } from '../../src/platform/ids.ts';
import { createLog } from '../../src/platform/log.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { createSecretBox } from '../../src/platform/secret-box.ts';
import type { TestDatabase } from './database.ts';

/** One instance's access and tokens on a real database; several of them may share one. */
export interface TestAccess {
  readonly access: Access;
  readonly tokens: Tokens;
  readonly clock: Clock;
  /** Puts the clock forward. */
  advance(ms: number): void;
  tenant(slug: string): Promise<TenantFacts>;
  /** @returns the user's id. */
  user(tenant: TenantFacts, email: string, role: string): Promise<string>;
  /** The newest key that signs. */
  signingKey(): Promise<{
    readonly id: string;
    readonly publicKey: KeyObject;
    readonly privateKey: KeyObject;
  }>;
  /** A server on this machine that answers every request the same. */
  listener(answer: () => string): Promise<{ readonly url: string; stop(): Promise<void> }>;
  stop(): Promise<void>;
}

export const testParties = { issuer: 'https://gatehouse.example', audience: 'https://gatehouse.example' };

export async function startAccess(database: TestDatabase): Promise<TestAccess> {
  const log = createLog('silent');
  let offsetMs = 0;
  const clock: Clock = { ...systemClock, now: () => new Date(Date.now() + offsetMs) };
  const newId = createIds(clock, systemRandom);
  const secrets = createSecretBox(Buffer.alloc(32, 7), systemRandom);
  const notifications = createNotifications(database.url, clock, log);
  const access = createAccess({
    store: createAccessStore(database.database),
    clock,
    newId,
    random: systemRandom,
    log,
    countFailedAuthentication: () => {},
    countCrossTenantAttempt: () => {},
    authenticateToken: (token, tenant) => tokens.authenticate(token, tenant),
    subscribe: (onChange, onGap) => notifications.subscribe('access_changed', onChange, onGap),
  });
  const tokens = createTokens(
    {
      database: database.database,
      secrets,
      clock,
      newId,
      random: systemRandom,
      log,
      parties: testParties,
      issuerAddresses: createAddressGuard(['127.0.0.1', 'localhost']),
      subscribe: (onChange, onGap) => notifications.subscribe('tokens_changed', onChange, onGap),
    },
    {
      ...access,
      authenticateKey: (key) => access.authenticate(key, undefined),
      checkPassword: () => Promise.reject(new Error('nobody signs in by password here')),
      noteSignIn: async () => {},
      refuseWithoutFactor: async () => {},
      countFailedAuthentication: () => {},
    },
  );
  await access.start();
  await notifications.start();
  await tokens.start();

  return {
    access,
    tokens,
    clock,
    advance: (ms) => {
      offsetMs += ms;
    },
    async tenant(slug) {
      await access.createTenant({ name: slug, slug, tier: 'starter', region: 'eu' });
      const made = access.tenant(slug);
      if (!made) throw new Error('the tenant is not known');
      return made;
    },
    async user(tenant, email, role) {
      const id = newId();
      await sql`insert into users (id, tenant_id, email, role, created_at, updated_at)
        values (${id}, ${tenant.id}, ${email}, ${role}, now(), now())`.execute(database.database.platform);
      return id;
    },
    async signingKey() {
      const { rows } = await sql<{ id: string; sealed_private_key: string }>`
        select id, sealed_private_key from token_signing_keys order by signs_from desc limit 1`.execute(
        database.database.platform,
      );
      const [row] = rows;
      if (!row) throw new Error('nothing signs');
      const pem = secrets.open(row.sealed_private_key, `token-signing-key:${row.id}`);
      return { id: row.id, privateKey: createPrivateKey(pem), publicKey: createPublicKey(pem) };
    },
    async listener(answer) {
      const server = createServer((_request, response) => {
        response.setHeader('content-type', 'application/json');
        response.end(answer());
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return {
        url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
        stop: () => new Promise((resolve) => server.close(() => resolve())),
      };
    },
    async stop() {
      await tokens.stop();
      await access.stop();
      await notifications.stop();
    },
  };
}
