import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startAccess, type TestAccess, testParties } from '../../../../test/harness/access.ts';
import { createTestDatabase, type TestDatabase } from '../../../../test/harness/database.ts';
import {
  claimsNow,
  encoded,
  type IssuerKey,
  keySetOf,
  newIssuerKey,
  signedBy,
  startTokenIssuer,
  type TokenIssuer,
  testAudience,
} from '../../../../test/harness/token-issuer.ts';
import type { Principal, TenantFacts } from '../../index.ts';
import { looksLikeJwt } from '../read-jwt.ts';
import { type IssuerBody, issuerBody } from './issuers.schema.ts';

/*
 * Tokens of an issuer elsewhere as an attacker makes them, and issuers as an attacker runs them. Each is presented to a server
 * that accepts the token it was made from.
 */

let database: TestDatabase;
let access: TestAccess;
let issuer: TokenIssuer;
let north: TenantFacts;
let south: TenantFacts;
let adminOf: (tenant: TenantFacts) => Promise<Principal>;
const rsa = newIssuerKey('RS256');
const ec = newIssuerKey('ES256');
const ed = newIssuerKey('EdDSA');
/** What an attacker has of their own. */
const strangers = {
  RS256: newIssuerKey('RS256'),
  ES256: newIssuerKey('ES256'),
  EdDSA: newIssuerKey('EdDSA'),
};

const settings = (more: object = {}): IssuerBody =>
  issuerBody.parse({
    issuer: issuer.url,
    audiences: [testAudience],
    mapping: {
      role: { claim: 'roles', values: [{ value: 'reader', role: 'analyst' }] },
      groups: { claim: 'groups', values: [{ value: 'g1', group: 'payroll' }] },
    },
    ...more,
  });

beforeAll(async () => {
  database = await createTestDatabase();
  access = await startAccess(database);
  north = await access.tenant('north');
  south = await access.tenant('south');
  adminOf = async (tenant) => {
    const plain = { groups: [], scopes: [], userId: null, expiresAt: null };
    const made = await access.access.createKeyAsPlatform(tenant, { ...plain, name: 'admin', role: 'admin' });
    return access.access.authenticate(made.key, undefined);
  };
  issuer = await startTokenIssuer();
  issuer.keys = [rsa, ec, ed];
  await access.tokens.issuers.put(await adminOf(north), 'idp', settings());
  await present(signedBy(rsa, claimsNow(issuer.url)));
});
afterAll(async () => {
  await access.stop();
  await issuer.stop();
  await database.drop();
});

const present = async (token: string, tenant?: string): Promise<Principal> =>
  access.access.authenticate(token, tenant);
const refusals = new Set<string>();
const refused = async (token: string, tenant?: string) => {
  const told = await present(token, tenant).then(
    () => 'accepted',
    (error) => {
      // What does not even look like a token is refused as a key.
      if (looksLikeJwt(token)) refusals.add(error.message);
      return error.code;
    },
  );
  expect(told).toBe('unauthenticated');
};
const now = () => Math.floor(Date.now() / 1000);
const accepted = (claims: object = {}, header: object = {}, key: IssuerKey = rsa) =>
  present(signedBy(key, { ...claimsNow(issuer.url), ...claims }, header));
const turnedDown = (claims: object = {}, header: object = {}, key: IssuerKey = rsa) =>
  refused(signedBy(key, { ...claimsNow(issuer.url), ...claims }, header));

describe('a token of an issuer elsewhere', () => {
  it.each([rsa, ec, ed])(
    'is accepted as it was made ($alg), the second time without waiting or asking',
    async (key) => {
      const token = signedBy(key, { ...claimsNow(issuer.url), groups: ['g1', 'g2'] });
      const caller = await present(token);
      expect(caller).toMatchObject({ tenantId: north.id, role: 'analyst', groups: ['payroll'] });
      const asked = issuer.asked();
      expect(access.access.authenticate(token, undefined)).toBe(caller);
      expect(issuer.asked()).toBe(asked);
    },
  );

  it('opens no other tenant', async () => {
    const token = signedBy(rsa, claimsNow(issuer.url));
    await expect(present(token, 'south')).rejects.toMatchObject({ code: 'forbidden' });
    await expect(present(token, 'nowhere')).rejects.toMatchObject({ code: 'forbidden' });
    expect(await present(token, 'north')).toMatchObject({ tenantId: north.id });
  });

  it('makes one reader of one subject, and never the same of two', async () => {
    const [alice, again, bob] = [
      await accepted(),
      await accepted({ jti: 'other' }),
      await accepted({ sub: 'bob' }),
    ];
    expect(again.userId).toBe(alice.userId);
    expect(bob.userId).not.toBe(alice.userId);
    expect(alice.readerTokens).toContain(`user:${alice.userId}`);
    expect(alice.userId).toBe(
      await access.tokens.issuers.userId(await adminOf(north), 'idp', { subject: 'alice' }),
    );
  });
});

describe('the algorithm', () => {
  it.each(['none', 'None', 'NONE', ''])('cannot be %j', async (alg) => {
    const [, claims = '', signature = ''] = signedBy(rsa, claimsNow(issuer.url)).split('.');
    const head = encoded({ alg, kid: rsa.kid, typ: 'JWT' });
    for (const end of ['', '.', `.${signature}`]) await refused(`${head}.${claims}${end}`);
  });

  it.each([rsa, ec, ed])('cannot be one whose secret is the public key ($alg)', async (key) => {
    const secrets = [
      key.publicKey.export({ format: 'pem', type: 'spki' }),
      key.publicKey.export({ format: 'pem', type: 'spki' }).toString().trim(),
      key.publicKey.export({ format: 'der', type: 'spki' }),
      JSON.stringify(key.jwk),
      keySetOf(issuer.keys),
      String(key.jwk.n ?? key.jwk.x),
      Buffer.from(String(key.jwk.n ?? key.jwk.x), 'base64url'),
    ];
    for (const bits of ['256', '384', '512']) {
      for (const secret of secrets) {
        const body = `${encoded({ alg: `HS${bits}`, kid: key.kid, typ: 'JWT' })}.${encoded(claimsNow(issuer.url))}`;
        await refused(`${body}.${createHmac(`sha${bits}`, secret).update(body).digest('base64url')}`);
      }
    }
  });

  it('is that of the key, and one that is allowed', async () => {
    for (const [key, alg] of [
      [rsa, 'ES256'],
      [rsa, 'PS256'],
      [rsa, 'RS512'],
      [rsa, 'EdDSA'],
      [ec, 'RS256'],
      [ec, 'ES384'],
      [ed, 'ES256'],
      [ed, 'RS256'],
    ] as const) {
      await turnedDown({}, { alg }, key);
      // Signed as it says, by a key that is known here for something else.
      if (alg !== 'EdDSA') await turnedDown({}, {}, { ...newIssuerKey(alg), kid: key.kid });
    }
    for (const alg of ['rs256', 'RS256 ', 7, null, ['RS256'], { RS256: true }]) await turnedDown({}, { alg });
  });
});

describe('the signature', () => {
  it('is of the very token, by a key of the issuer', async () => {
    const [head, , signature] = signedBy(rsa, claimsNow(issuer.url)).split('.');
    await refused(`${head}.${encoded({ ...claimsNow(issuer.url), sub: 'bob' })}.${signature}`);
    await refused(`${head}.${encoded(claimsNow(issuer.url))}.`);
    for (const key of Object.values(strangers)) await turnedDown({}, { kid: rsa.kid }, key);
  });

  it('holds for every bit of the token', async () => {
    const good = signedBy(ec, claimsNow(issuer.url));
    await present(good);
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.integer({ min: 1, max: 127 }), async (at, flip) => {
        await refused(
          good.slice(0, at) + String.fromCharCode(good.charCodeAt(at) ^ flip) + good.slice(at + 1),
        );
      }),
      { numRuns: 300 },
    );
  });
});

describe('the key', () => {
  it.each([
    'unknown',
    '',
    '../../../../dev/null',
    '/proc/self/environ',
    'file:///etc/passwd',
    'http://169.254.169.254/latest/meta-data',
    "x' UNION SELECT '{}' --",
    "'; DROP TABLE token_issuers; --",
    '__proto__',
    'constructor',
    'x'.repeat(100_000),
  ])('cannot be found by the id %.40j', async (kid) => {
    await turnedDown({}, { kid }, strangers.RS256);
    expect(await accepted()).toMatchObject({ tenantId: north.id });
  });

  it.each([7, {}, ['a'], true])('has an id that is a text, not %j', (kid) => turnedDown({}, { kid }));

  it('is never the one that the token brings or points to', async () => {
    const thief = strangers.RS256;
    const trap = await startTokenIssuer(thief);
    for (const more of [
      { jwk: thief.jwk },
      { jku: trap.jwksUri },
      { x5u: `${trap.url}/certificate` },
      { x5c: [Buffer.from('certificate').toString('base64')] },
      { jwk: thief.jwk, jku: trap.jwksUri, x5u: trap.url },
    ]) {
      for (const kid of [rsa.kid, thief.kid, undefined]) await turnedDown({}, { ...more, kid }, thief);
    }
    expect(trap.asked()).toBe(0);
    await trap.stop();
  });

  it('is not looked at where the token demands what we do not know', async () => {
    await turnedDown({}, { crit: ['exp'], exp: 1 });
    await turnedDown({}, { crit: [] });
    await turnedDown({}, { b64: false, crit: ['b64'] });
  });

  it('that is not known is asked for at most once in a while, however many tokens name such a one', async () => {
    await turnedDown({}, { kid: 'unknown-0' });
    const asked = issuer.asked();
    await Promise.all(
      Array.from({ length: 50 }, (_none, place) =>
        turnedDown({}, { kid: `unknown-${place}` }, strangers.RS256),
      ),
    );
    expect(issuer.asked()).toBe(asked);
  });
});

describe('what a token says', () => {
  const cases: [string, () => object][] = [
    ['has expired', () => ({ exp: now() - 61 })],
    ['never expires', () => ({ exp: undefined })],
    ['expires as a text', () => ({ exp: String(now() + 600) })],
    ['counts only later', () => ({ nbf: now() + 90 })],
    ['was made later', () => ({ iat: now() + 90 })],
    ['was made at no time', () => ({ iat: undefined })],
    ['was made long ago, though it lives on', () => ({ iat: now() - 90_000, exp: now() + 600 })],
    ['is for somebody else', () => ({ aud: 'another' })],
    ['is for nobody', () => ({ aud: undefined })],
    ['is for several others', () => ({ aud: ['another', 'third'] })],
    ['is for us as a member', () => ({ aud: { [testAudience]: true } })],
    ['is from somebody else', () => ({ iss: 'https://attacker.example' })],
    ['is from nearly the same', () => ({ iss: `${issuer.url}/` })],
    ['is from several', () => ({ iss: [issuer.url] })],
    ['is from nobody', () => ({ iss: undefined })],
    ['is from us', () => ({ iss: testParties.issuer })],
    ['names nobody', () => ({ sub: undefined })],
    ['names somebody by a number', () => ({ sub: 7 })],
    ['names somebody at length', () => ({ sub: 'x'.repeat(256) })],
    ['comes to no role', () => ({ roles: ['owner', 'admin'] })],
    ['is bound to a key that is not shown', () => ({ cnf: { jkt: 'thumbprint' } })],
  ];
  it.each(cases)('is refused when it %s', async (_name, change) => {
    await accepted();
    await turnedDown(change());
  });

  it.each(['logout+jwt', 'dpop+jwt', 'secevent+jwt', 'anything'])(
    'is refused in a token of the kind %s',
    (typ) => turnedDown({}, { typ }),
  );

  it('moves nobody into another tenant and gives nobody another role, however it is nested', async () => {
    const told = {
      tenant: south.id,
      tenant_id: south.id,
      'X-Tenant-Id': 'south',
      role: 'owner',
      permissions: ['tenants:manage'],
      groups: ['g9', { value: 'g1' }, ['g1']],
      key_id: 'admin-key',
      epoch: '9',
      actsInNamedTenant: true,
      __proto__: { role: 'owner' },
      mapping: { tenant: { default: south.id }, role: { default: 'owner' } },
    };
    const claims = JSON.stringify({ ...claimsNow(issuer.url), ...told });
    const nested = `${claims.slice(0, -1)},"__proto__":{"roles":["admin"]},"constructor":{"roles":["admin"]}}`;
    for (const body of [claims, nested]) {
      expect(await present(signedBy(rsa, body))).toMatchObject({
        tenantId: north.id,
        role: 'analyst',
        groups: [],
        actsInNamedTenant: false,
        internal: false,
      });
    }
    await expect(present(signedBy(rsa, claims), 'south')).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('is refused when it says a thing twice', async () => {
    const text = JSON.stringify(claimsNow(issuer.url)).slice(0, -1);
    await refused(signedBy(rsa, `${text},"roles":["reader"]}`));
    await refused(signedBy(rsa, `${text},"\\u0073ub":"bob"}`));
    const head = JSON.stringify({ alg: 'RS256', kid: rsa.kid, typ: 'JWT' }).slice(0, -1);
    const body = `${encoded(`${head},"alg":"RS256"}`)}.${encoded(claimsNow(issuer.url))}`;
    await refused(`${body}.AAAA`);
  });

  it('is refused when it is huge or a NUL stands in it', async () => {
    await turnedDown({ padding: 'x'.repeat(20_000) });
    await turnedDown({ sub: 'alice\u0000' });
    await refused(`${'eyJ'.padEnd(1_000_000, 'A')}.e30.AA`);
  });
});

describe('the keys of an issuer', () => {
  let bad: TokenIssuer;
  beforeEach(async () => {
    bad = await startTokenIssuer();
  });
  afterEach(async () => {
    await access.tokens.issuers.remove(await adminOf(north), 'bad').catch(() => {});
    await bad.stop();
  });
  const trust = async (more: object = {}) =>
    access.tokens.issuers.put(await adminOf(north), 'bad', settings({ issuer: bad.url, ...more }));
  const token = (key = bad.keys.at(-1) ?? rsa, header: object = {}) =>
    signedBy(key, claimsNow(bad.url), header);

  it('count where nothing is wrong, so that what follows is refused for its own reason', async () => {
    await trust();
    expect(await present(token())).toMatchObject({ tenantId: north.id });
  });

  const wrong: [string, () => void][] = [
    ['for encryption', () => publish({ ...jwk(), use: 'enc' })],
    ['for signing only', () => publish({ ...jwk(), key_ops: ['sign'] })],
    ['for another algorithm', () => publish({ ...jwk(), alg: 'PS256' })],
    ['with their private halves', () => publish({ ...jwk(), ...privateJwk() })],
    ['with an id that is no text', () => publish({ ...jwk(), kid: 7 })],
    ['of no kind', () => publish({ ...jwk(), kty: 'oct', k: 'c2VjcmV0' })],
    ['with a part left out', () => publish({ ...jwk(), n: undefined })],
    ['with a part that is none', () => publish({ ...jwk(), n: '****' })],
    ['with the exponent 1', () => publish({ ...jwk(), e: 'AQ' })],
    ['that are garbage', () => publishText('<html>no keys</html>')],
    ['that are null', () => publishText('null')],
    ['that are a list', () => publishText('[]')],
    ['as members of something else', () => publishText('{"keys":{"0":{}}}')],
    ['that are none', () => publishText('{"keys":[]}')],
    ['that are not there', () => answer(404, '{}')],
    ['with an error beside them', () => answer(500, keySetOf(bad.keys))],
    ['beyond measure', () => publishText(`{"keys":[],"padding":"${'x'.repeat(2_000_000)}"}`)],
  ];
  const jwk = () => bad.keys.at(-1)?.jwk ?? {};
  const privateJwk = () => bad.keys.at(-1)?.privateKey.export({ format: 'jwk' }) ?? {};
  const publish = (key: object) => publishText(JSON.stringify({ keys: [key] }));
  const publishText = (text: string) => answer(200, text);
  const answer = (status: number, text: string) => {
    bad.instead = (_request, response) => void response.writeHead(status).end(text);
  };
  it.each(wrong)('are not believed: keys %s', async (_name, spoil) => {
    spoil();
    await trust({ jwks_uri: bad.jwksUri });
    await refused(token());
    await refused(token(rsa));
  });

  it('are not believed when they are weak', async () => {
    const weak = newIssuerKey('RS256', { bits: 1_024 });
    bad.keys = [weak];
    await trust();
    await refused(token(weak));
  });

  it('are not asked for on where a redirect points', async () => {
    const inside = await startTokenIssuer();
    for (const status of [301, 302, 303, 307, 308]) {
      bad.instead = (_request, response) =>
        void response.writeHead(status, { location: inside.jwksUri }).end();
      await trust({ jwks_uri: `${bad.jwksUri}?${status}` });
      await refused(token(inside.keys[0]));
    }
    expect(inside.asked()).toBe(0);
    await inside.stop();
  });

  it('are not taken from a description of another issuer, nor from a private address it names', async () => {
    const others = await startTokenIssuer();
    for (const said of [
      { issuer: others.url, jwks_uri: bad.jwksUri },
      { issuer: bad.url },
      { issuer: bad.url, jwks_uri: 'file:///etc/passwd' },
      { issuer: bad.url, jwks_uri: 'http://169.254.169.254/jwks' },
      { issuer: bad.url, jwks_uri: 7 },
    ]) {
      bad.instead = (request, response) => {
        if (request.url === '/jwks') response.end(keySetOf(bad.keys));
        else response.end(JSON.stringify(said));
      };
      await trust();
      await refused(token());
      await access.tokens.issuers.remove(await adminOf(north), 'bad');
    }
    await others.stop();
  });

  it('are waited for no longer than five seconds, by no more than a hundred, and in one request', async () => {
    const held: (() => void)[] = [];
    bad.instead = (_request, response) => {
      response.writeHead(200).write('{"keys":[');
      held.push(() => response.destroy());
    };
    await trust({ jwks_uri: bad.jwksUri });
    const waiting = Array.from({ length: 150 }, (_none, place) =>
      present(token(rsa, { kid: `k${place}` })).catch((error) => error.code),
    );
    const outcomes = await Promise.all(waiting);
    expect(outcomes.filter((code) => code === 'unauthenticated')).toHaveLength(100);
    expect(outcomes.filter((code) => code === 'overloaded')).toHaveLength(50);
    expect(bad.asked()).toBe(1);
    for (const end of held) end();
  });
});

it('tells the same whatever was wrong', () => {
  expect(refusals.size).toBe(1);
});
