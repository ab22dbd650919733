import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startAccess, type TestAccess } from '../../../test/harness/access.ts';
import { createTestDatabase, type TestDatabase } from '../../../test/harness/database.ts';
import type { Principal } from '../index.ts';

/*
 * Tokens as an attacker makes them. Each is presented to a server that would accept the token it was made from.
 */

let database: TestDatabase;
let access: TestAccess;
let good: string;
let tenantId: string;
/** Of the same server: what an attacker with some other key of theirs may sign with. */
const stranger = generateKeyPairSync('ed25519');

beforeAll(async () => {
  database = await createTestDatabase();
  access = await startAccess(database);
  const tenant = await access.tenant('north');
  tenantId = tenant.id;
  await access.tenant('south');
  const userId = await access.user(tenant, 'anna@north.example', 'analyst');
  good = (await access.tokens.ofUser(userId)).accessToken;
});
afterAll(async () => {
  await access.stop();
  await database.drop();
});

const present = async (token: string, tenant?: string): Promise<Principal> =>
  access.access.authenticate(token, tenant);
const refused = (token: string) => expect(present(token)).rejects.toMatchObject({ code: 'unauthenticated' });

const encode = (part: unknown) =>
  Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url');
const partsOf = (token: string) => {
  const [header = '', claims = '', signature = ''] = token.split('.');
  const read = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString());
  return { header: read(header), claims: read(claims), signature };
};
const signed = (header: unknown, claims: unknown, key: KeyObject = stranger.privateKey) => {
  const body = `${encode(header)}.${encode(claims)}`;
  return `${body}.${sign(null, Buffer.from(body), key).toString('base64url')}`;
};
/** Signed by the server itself, as if it had gone wrong in just this one point. */
const signedByServer = async (header: object | string, claims: object | string) => {
  const { privateKey } = await access.signingKey();
  return signed(header, claims, privateKey);
};
const secondsFromNow = (seconds: number) => Math.floor(access.clock.now().getTime() / 1000) + seconds;

describe('a token', () => {
  it('is accepted as it was made, the second time without waiting', async () => {
    expect(await present(good)).toMatchObject({ tenantId, role: 'analyst', userId: expect.any(String) });
    expect(access.access.authenticate(good, undefined)).not.toBeInstanceOf(Promise);
  });

  it('is accepted when the server signs the same again, so that what follows is refused for its own reason', async () => {
    const { header, claims } = partsOf(good);
    expect(await present(await signedByServer(header, claims))).toMatchObject({ tenantId });
  });
});

describe('the algorithm', () => {
  it.each(['none', 'None', 'NONE', 'nOnE', ''])('cannot be %j', async (alg) => {
    const { header, claims, signature } = partsOf(good);
    const body = `${encode({ ...header, alg })}.${encode(claims)}`;
    await refused(`${body}.`);
    await refused(body);
    await refused(`${body}.${signature}`);
  });

  it('cannot be one whose secret is the public key', async () => {
    const { header, claims } = partsOf(good);
    const { publicKey } = await access.signingKey();
    const jwk = publicKey.export({ format: 'jwk' });
    const secrets = [
      publicKey.export({ format: 'pem', type: 'spki' }),
      publicKey.export({ format: 'der', type: 'spki' }),
      Buffer.from(String(jwk.x), 'base64url'),
      JSON.stringify(jwk),
      access.tokens.keySet(),
    ];
    for (const alg of ['HS256', 'HS512']) {
      for (const secret of secrets) {
        const body = `${encode({ ...header, alg })}.${encode(claims)}`;
        const mac = createHmac(alg === 'HS256' ? 'sha256' : 'sha512', secret)
          .update(body)
          .digest('base64url');
        await refused(`${body}.${mac}`);
      }
    }
  });

  it('cannot be another than ours, whatever the key', async () => {
    const { header, claims } = partsOf(good);
    for (const alg of ['RS256', 'ES256', 'PS256', 'Ed25519 ', 'eddsa', 7, null, ['EdDSA']]) {
      await refused(await signedByServer({ ...header, alg }, claims));
    }
  });
});

describe('the signature', () => {
  it('cannot be left out, or be of another key or another token', async () => {
    const { header, claims, signature } = partsOf(good);
    await refused(good.slice(0, good.lastIndexOf('.')));
    await refused(good.slice(0, good.lastIndexOf('.') + 1));
    await refused(signed(header, claims));
    await refused(`${encode(header)}.${encode({ ...claims, role: 'owner' })}.${signature}`);
  });

  it('holds for every bit of the token', async () => {
    const count = good.length;
    await fc.assert(
      fc.asyncProperty(fc.nat(count - 1), fc.integer({ min: 1, max: 127 }), async (at, flip) => {
        const changed =
          good.slice(0, at) + String.fromCharCode(good.charCodeAt(at) ^ flip) + good.slice(at + 1);
        await refused(changed);
      }),
      { numRuns: 500 },
    );
  });

  it('holds for the spelling: no token has two', async () => {
    // The last character of 64 bytes in base64url has four bits that mean nothing.
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    for (const last of letters) {
      if (last !== good.at(-1)) await refused(good.slice(0, -1) + last);
    }
    for (const more of ['=', '==', '.', '.a', ' ', '\u0000', '\n']) await refused(good + more);
  });
});

describe('the key', () => {
  it.each([
    'unknown',
    '',
    '../../../../dev/null',
    '/proc/self/environ',
    'file:///etc/passwd',
    'https://attacker.example/key',
    "x' UNION SELECT '{}' --",
    "'; DROP TABLE token_signing_keys; --",
    '__proto__',
    'constructor',
    'x'.repeat(100_000),
  ])('cannot be found by the id %.40j', async (kid) => {
    const { header, claims } = partsOf(good);
    await refused(signed({ ...header, kid }, claims));
    expect(await present(good)).toMatchObject({ tenantId });
  });

  it.each([null, 7, {}, ['a'], true])('has an id that is a text, not %j', async (kid) => {
    const { header, claims } = partsOf(good);
    await refused(await signedByServer({ ...header, kid }, claims));
  });

  it('is never the one that the token brings or points to', async () => {
    const { header, claims } = partsOf(good);
    const jwk = stranger.publicKey.export({ format: 'jwk' });
    let asked = 0;
    const thief = await access.listener(() => {
      asked++;
      return JSON.stringify({ keys: [{ ...jwk, kid: header.kid, alg: 'EdDSA', use: 'sig' }] });
    });
    for (const more of [
      { jwk },
      { jku: thief.url },
      { x5u: thief.url },
      { x5c: [Buffer.from('certificate').toString('base64')] },
      { jwk, jku: thief.url, x5u: thief.url },
    ]) {
      await refused(signed({ ...header, ...more }, claims));
      await refused(signed({ ...header, ...more, kid: 'mine' }, claims));
    }
    expect(asked).toBe(0);
    await thief.stop();
  });

  it('is not looked at where the token demands what we do not know', async () => {
    const { header, claims } = partsOf(good);
    await refused(await signedByServer({ ...header, crit: ['exp'], exp: 1 }, claims));
    await refused(await signedByServer({ ...header, crit: [] }, claims));
    await refused(await signedByServer({ ...header, b64: false, crit: ['b64'] }, claims));
  });
});

describe('what a token says', () => {
  const cases: [string, () => object][] = [
    ['has expired', () => ({ exp: secondsFromNow(-61) })],
    ['never expires', () => ({ exp: undefined })],
    ['expires as a text', () => ({ exp: String(secondsFromNow(600)) })],
    ['counts only later', () => ({ nbf: secondsFromNow(61) })],
    ['was made later', () => ({ iat: secondsFromNow(61) })],
    ['is for somebody else', () => ({ aud: 'another' })],
    ['is for nobody', () => ({ aud: undefined })],
    ['is for several others', () => ({ aud: ['another', 'third'] })],
    ['is from somebody else', () => ({ iss: 'https://attacker.example' })],
    ['is from somebody with nearly our name', () => ({ iss: 'gatehouse/' })],
    ['is from nobody', () => ({ iss: undefined })],
    ['has no id', () => ({ jti: undefined })],
    ['has no tenant', () => ({ tenant: undefined })],
    ['names a tenant that is not there', () => ({ tenant: '00000000-0000-7000-8000-000000000009' })],
    ['names a tenant that is none', () => ({ tenant: "x' OR '1'='1" })],
    ['names no user', () => ({ sub: 'somebody' })],
    ['has no sign-in', () => ({ sid: undefined })],
  ];
  it.each(cases)('is refused when it %s', async (_name, change) => {
    const { header, claims } = partsOf(good);
    await refused(await signedByServer(header, { ...claims, ...change() }));
  });

  it('is refused when another kind of token says it', async () => {
    const { header, claims } = partsOf(good);
    await refused(await signedByServer({ ...header, typ: 'JWT' }, claims));
    await refused(await signedByServer({ ...header, typ: undefined }, claims));
  });

  it('is refused when it says a thing twice', async () => {
    const { header, claims } = partsOf(good);
    const text = JSON.stringify(claims).slice(0, -1);
    await refused(await signedByServer(header, `${text},"role":"owner"}`));
    await refused(await signedByServer(header, `${text},"\\u0072ole":"owner"}`));
    await refused(await signedByServer(`${JSON.stringify(header).slice(0, -1)},"alg":"EdDSA"}`, claims));
  });

  it('is refused when a NUL stands in it', async () => {
    const { header, claims } = partsOf(good);
    await refused(await signedByServer(header, { ...claims, role: 'owner\u0000x' }));
    await refused(await signedByServer(header, { ...claims, groups: ['a\u0000'] }));
    await refused(await signedByServer({ ...header, kid: `${header.kid}\u0000` }, claims));
  });

  it('is refused when it is huge', async () => {
    const { header, claims } = partsOf(good);
    await refused(await signedByServer(header, { ...claims, padding: 'x'.repeat(20_000) }));
    await refused(`${'eyJ'.padEnd(1_000_000, 'A')}.e30.AA`);
    await refused(`eyJ${'.'.repeat(1_000_000)}`);
  });

  it('opens no other tenant', async () => {
    await expect(present(good, 'south')).rejects.toMatchObject({ code: 'forbidden' });
    await expect(present(good, 'nowhere')).rejects.toMatchObject({ code: 'forbidden' });
    expect(await present(good, 'north')).toMatchObject({ tenantId });
  });
});

it('tells the same whatever was wrong', async () => {
  const { header, claims } = partsOf(good);
  const messages = new Set<string>();
  for (const token of [
    signed(header, claims),
    signed({ ...header, kid: 'unknown' }, claims),
    await signedByServer(header, { ...claims, exp: 1 }),
    await signedByServer(header, { ...claims, aud: 'x' }),
    `${good}x`,
  ]) {
    await present(token).catch((error: Error) => messages.add(error.message));
  }
  expect(messages.size).toBe(1);
});
