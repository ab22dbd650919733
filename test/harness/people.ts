import { randomBytes } from 'node:crypto';
import {
  type Access,
  accessRoutes,
  createAccess,
  createAccessStore,
  createPeople,
  createTokens,
  type People,
  peopleRoutes,
  roleRoutes,
  type TenantFacts,
  tokenRoutes,
} from '../../src/access/index.ts';
import { createHttp, type HttpServer } from '../../src/http/index.ts';
import { createAddressGuard } from '../../src/notifications/index.ts';
import { type Clock, systemClock } from '../../src/platform/clock.ts';
import { createNotifications } from '../../src/platform/database/notifications.ts';
import { createIds } from '../../src/platform/ids.ts';
import { createLog } from '../../src/platform/log.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { createSecretBox } from '../../src/platform/secret-box.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { openEntrance } from './open-doors.ts';

/** An instance of the part of the server that deals with people, on a real database, with a clock that tests set. */
export interface House {
  readonly test: TestDatabase;
  readonly http: HttpServer;
  readonly access: Access;
  readonly people: People;
  /** What the audit log was told of sign-ins. */
  readonly notes: { readonly action: string; readonly userId: string | null }[];
  now(): Date;
  advance(ms: number): void;
  /** A tenant with an admin's API key. */
  tenant(slug: string): Promise<{ tenant: TenantFacts; adminKey: string }>;
  stop(): Promise<void>;
}

/** Passes the policy. */
export const goodPassword = 'velvet-harbour-oxide-lantern';

export async function createHouse(
  options: {
    test?: TestDatabase;
    extras?: Partial<Parameters<typeof createPeople>[0]>;
    publicUrl?: string | null;
  } = {},
): Promise<House> {
  const test = options.test ?? (await createTestDatabase());
  const log = createLog('silent');
  let offsetMs = 0;
  const clock: Clock = { ...systemClock, now: () => new Date(Date.now() + offsetMs) };
  const newId = createIds(clock, systemRandom);
  const notifications = createNotifications(test.url, systemClock, log);
  const notes: { action: string; userId: string | null }[] = [];
  const access = createAccess({
    store: createAccessStore(test.database),
    clock,
    newId,
    random: systemRandom,
    log,
    countFailedAuthentication: () => {},
    countCrossTenantAttempt: () => {},
    authenticateToken: (token, tenant) => tokens.authenticate(token, tenant),
    subscribe: (onChange, onGap) => notifications.subscribe('access_changed', onChange, onGap),
  });
  const people = createPeople({
    database: test.database,
    access,
    secretBox: createSecretBox(Buffer.alloc(32, 7), systemRandom),
    note: async (_tenantId, action, userId) => void notes.push({ action, userId }),
    countFailedAuthentication: () => {},
    subscribe: (onChange, onGap) => notifications.subscribe('sessions_changed', onChange, onGap),
    issuerAddresses: createAddressGuard(['127.0.0.1', 'localhost']),
    publicUrl: options.publicUrl ?? null,
    clock,
    newId,
    random: systemRandom,
    log,
    ...options.extras,
  });
  const tokens = createTokens(
    {
      database: test.database,
      secrets: createSecretBox(Buffer.alloc(32, 7), systemRandom),
      clock,
      newId,
      random: systemRandom,
      log,
      parties: { issuer: 'gatehouse', audience: 'gatehouse' },
      issuerAddresses: createAddressGuard(['127.0.0.1', 'localhost']),
      subscribe: (onChange, onGap) => notifications.subscribe('tokens_changed', onChange, onGap),
    },
    {
      ...access,
      authenticateKey: (key) => access.authenticate(key, undefined),
      checkPassword: async ({ network, ...given }) => {
        const { id, tenant_id } = await people.passwordSignIn.checkAll(given, network);
        return { userId: id, tenantId: tenant_id };
      },
      noteSignIn: async (_tenantId, { targetId }) =>
        void notes.push({ action: 'sign_in.done', userId: targetId }),
      refuseWithoutFactor: (user) => people.policy.refuseTokensWithoutCodes(user),
      countFailedAuthentication: () => {},
    },
  );
  const http = await createHttp({
    limits: openEntrance(),
    access: { authenticate: access.authenticate, authenticateSession: people.authenticateSession },
    trustedProxies: ['127.0.0.1'],
    clock,
    newId,
    log,
    metrics: createMetrics(),
    version: '0.0.0',
    rootRoutes: [],
    modelRoutes: [],
    platformRoutes: [
      accessRoutes(access, 'eu'),
      roleRoutes(access.roles),
      tokenRoutes(tokens),
      peopleRoutes(people),
    ],
  });
  await access.start();
  await people.start();
  await notifications.start();
  await tokens.start();
  return {
    test,
    http,
    access,
    people,
    notes,
    now: clock.now,
    advance: (ms) => {
      offsetMs += ms;
    },
    async tenant(slug) {
      await access.createTenant({ name: slug, slug, tier: 'starter', region: 'eu' });
      const tenant = access.tenant(slug);
      if (!tenant) throw new Error('the tenant is not known');
      const { key } = await access.createKeyAsPlatform(tenant, {
        name: 'admin',
        role: 'admin',
        groups: [],
        scopes: [],
        userId: null,
        expiresAt: null,
      });
      return { tenant, adminKey: key };
    },
    async stop() {
      await http.stop(1_000);
      await people.stop();
      await tokens.stop();
      await access.stop();
      await notifications.stop();
      if (!options.test) await test.drop();
    },
  };
}

export interface BrowserReply {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly json: any;
}

/** A browser: keeps cookies, and sends the CSRF token with what changes something. */
export class Browser {
  readonly cookies = new Map<string, string>();
  readonly address: string;
  private readonly house: House;

  constructor(house: House, address = '192.0.2.1') {
    this.house = house;
    this.address = address;
  }

  async send(
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    url: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<BrowserReply> {
    const csrf = this.cookies.get('gatehouse-csrf') ?? this.cookies.get('__Host-gatehouse-csrf');
    const reply = await this.house.http.api.inject({
      method,
      url: url.startsWith('/') ? url : `/api/v1/${url}`,
      headers: {
        'x-forwarded-for': this.address,
        ...(this.cookies.size > 0 && { cookie: this.cookieHeader() }),
        ...(csrf !== undefined && { 'x-csrf-token': csrf }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { payload: JSON.stringify(body) }),
    });
    for (const line of [reply.headers['set-cookie'] ?? []].flat()) this.keep(line);
    let json: unknown;
    try {
      json = reply.json();
    } catch {
      json = undefined;
    }
    return { status: reply.statusCode, headers: reply.headers, json };
  }

  cookieHeader(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  private keep(line: string): void {
    const [pair = ''] = line.split(';');
    const equals = pair.indexOf('=');
    if (/Max-Age=0/.test(line)) this.cookies.delete(pair.slice(0, equals));
    else this.cookies.set(pair.slice(0, equals), pair.slice(equals + 1));
  }
}

/** Makes a user by invitation. @returns the browser in which they accepted it. */
export async function newUser(
  house: House,
  adminKey: string,
  given: { email?: string; role?: string; groups?: string[]; password?: string } = {},
): Promise<{ browser: Browser; email: string; id: string }> {
  const email = given.email ?? `${randomBytes(6).toString('hex')}@example.org`;
  const admin = new Browser(house);
  const invited = await admin.send(
    'POST',
    'users/invitations',
    { email, role: given.role ?? 'analyst', groups: given.groups ?? [] },
    { authorization: `Bearer ${adminKey}` },
  );
  if (invited.status !== 201) throw new Error(`not invited: ${JSON.stringify(invited.json)}`);
  const browser = new Browser(house);
  const accepted = await browser.send('POST', 'auth/invitations/accept', {
    token: invited.json.token,
    password: given.password ?? goodPassword,
  });
  if (accepted.status !== 201) throw new Error(`not accepted: ${JSON.stringify(accepted.json)}`);
  return { browser, email, id: accepted.json.user_id };
}
