import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser, createHouse, goodPassword, type House, newUser } from '../harness/people.ts';

let house: House;
let adminKey: string;
let otherKey: string;

beforeAll(async () => {
  house = await createHouse();
  ({ adminKey } = await house.tenant('acme'));
  ({ adminKey: otherKey } = await house.tenant('globex'));
});
afterAll(() => house.stop());

const as = (key: string, method: 'GET' | 'POST' | 'PATCH' | 'DELETE', url: string, body?: unknown) =>
  new Browser(house).send(method, url, body, { authorization: `Bearer ${key}` });

async function ownerKey(slug: string): Promise<string> {
  const tenant = house.access.tenant(slug);
  if (!tenant) throw new Error('no tenant');
  const plain = { groups: [], scopes: [], userId: null, expiresAt: null };
  return (await house.access.createKeyAsPlatform(tenant, { ...plain, name: 'owner', role: 'owner' })).key;
}

describe('invitations', () => {
  it('tell nobody whether another tenant has a user of the address', async () => {
    const { email } = await newUser(house, adminKey);
    const known = await as(otherKey, 'POST', 'users/invitations', { email });
    const unknown = await as(otherKey, 'POST', 'users/invitations', { email: 'new@example.org' });
    expect([known.status, unknown.status]).toEqual([201, 201]);
    expect(Object.keys(known.json)).toEqual(Object.keys(unknown.json));
    // Only who holds the link, and so the mailbox, learns it.
    const accepted = await new Browser(house).send('POST', 'auth/invitations/accept', {
      token: known.json.token,
      password: goodPassword,
    });
    expect(accepted.status).toBe(409);
  });

  it('work once, unchanged, for 72 hours, until they are withdrawn or replaced', async () => {
    const invite = async (email: string) => (await as(adminKey, 'POST', 'users/invitations', { email })).json;
    const accept = async (token: string) =>
      (await new Browser(house).send('POST', 'auth/invitations/accept', { token, password: goodPassword }))
        .status;
    const used = await invite('once@example.org');
    expect(await accept(`${used.token.slice(0, -1)}${used.token.endsWith('A') ? 'B' : 'A'}`)).toBe(422);
    expect((await Promise.all([accept(used.token), accept(used.token)])).sort()).toEqual([201, 422]);
    const first = await invite('twice@example.org');
    const second = await invite('twice@example.org');
    expect(await accept(first.token)).toBe(422);
    expect((await as(otherKey, 'DELETE', `users/invitations/${second.id}`)).status).toBe(404);
    expect((await as(adminKey, 'DELETE', `users/invitations/${second.id}`)).status).toBe(204);
    expect(await accept(second.token)).toBe(422);
    const late = await invite('late@example.org');
    house.advance(72 * 3_600_000 + 1);
    expect(await accept(late.token)).toBe(422);
  });

  it('do not show their secret again, and store only its hash', async () => {
    const { json } = await as(adminKey, 'POST', 'users/invitations', { email: 'quiet@example.org' });
    const list = await as(adminKey, 'GET', 'users/invitations');
    expect(JSON.stringify(list.json)).not.toContain(json.token);
    expect(list.json.invitations.map((row: any) => row.id)).toContain(json.id);
  });
});

describe('users', () => {
  it('are listed, read and changed in their tenant only', async () => {
    const { id, email } = await newUser(house, adminKey, { groups: ['payroll'] });
    const list = await as(adminKey, 'GET', 'users');
    expect(list.json.users.find((row: any) => row.id === id)).toMatchObject({ email, groups: ['payroll'] });
    expect((await as(otherKey, 'GET', 'users')).json.users.map((row: any) => row.id)).not.toContain(id);
    for (const [method, url, body] of [
      ['GET', `users/${id}`, undefined],
      ['PATCH', `users/${id}`, { disabled: true }],
      ['DELETE', `users/${id}`, undefined],
      ['DELETE', `users/${id}/sessions`, undefined],
      ['DELETE', `users/${id}/second-factors`, undefined],
      ['POST', `users/${id}/password-reset`, undefined],
    ] as const) {
      expect([method, url, (await as(otherKey, method, url, body)).status]).toEqual([method, url, 404]);
    }
    const changed = await as(adminKey, 'PATCH', `users/${id}`, {
      name: 'Kim',
      attributes: { department: 'finance', clearance: 2 },
    });
    expect(changed.json).toMatchObject({ name: 'Kim', attributes: { department: 'finance', clearance: 2 } });
    expect((await as(adminKey, 'GET', 'users?limit=1')).json.next_cursor).not.toBeNull();
    expect((await as(adminKey, 'GET', 'users/no-uuid')).status).toBe(404);
  });

  it('are given, and managed by those who have, no more than they hold', async () => {
    const owner = await newUser(house, await ownerKey('acme'), { role: 'owner' });
    const admin = await newUser(house, adminKey, { role: 'admin' });
    const refused = [
      await as(adminKey, 'POST', 'users/invitations', { email: 'o@example.org', role: 'owner' }),
      await as(adminKey, 'PATCH', `users/${owner.id}`, { role: 'viewer' }),
      await as(adminKey, 'PATCH', `users/${owner.id}`, { disabled: true }),
      await as(adminKey, 'PATCH', `users/${admin.id}`, { role: 'owner' }),
      await as(adminKey, 'DELETE', `users/${owner.id}`),
      await as(adminKey, 'POST', `users/${owner.id}/password-reset`),
      await as(adminKey, 'DELETE', `users/${owner.id}/second-factors`),
      await as(adminKey, 'DELETE', `users/${owner.id}/sessions`),
    ];
    expect(refused.map(({ status }) => status)).toEqual(refused.map(() => 403));
    expect(
      (await as(adminKey, 'POST', 'users/invitations', { email: 'x@example.org', role: 'nope' })).status,
    ).toBe(422);
    const analyst = await newUser(house, adminKey);
    expect((await analyst.browser.send('GET', 'users')).status).toBe(403);
    expect((await analyst.browser.send('PATCH', `users/${analyst.id}`, { role: 'admin' })).status).toBe(403);
  });

  it('get no credentials from who could not be them', async () => {
    const role = {
      name: 'helpdesk',
      permissions: ['users:read', 'users:manage', 'documents:read', 'sign_in:manage'],
    };
    expect((await as(adminKey, 'POST', 'roles', role)).status).toBe(201);
    const colleague = await newUser(house, adminKey, { role: 'helpdesk' });
    const { browser } = await newUser(house, adminKey, { role: 'helpdesk', groups: ['desk'] });
    const payroll = await newUser(house, adminKey, { role: 'helpdesk', groups: ['payroll'] });
    expect((await browser.send('POST', `users/${colleague.id}/password-reset`)).status).toBe(201);
    expect((await browser.send('POST', `users/${payroll.id}/password-reset`)).status).toBe(403);
    expect((await browser.send('DELETE', `users/${payroll.id}/second-factors`)).status).toBe(403);
    expect((await browser.send('PATCH', `users/${colleague.id}`, { groups: ['payroll'] })).status).toBe(403);
    // An issuer of their own could vouch for anybody of the tenant.
    const rogue = { kind: 'oidc', issuer: 'https://rogue.example', client_id: 'x', default_role: 'helpdesk' };
    expect((await browser.send('PUT', 'auth/providers/rogue', rogue)).status).toBe(403);
  });

  it('keep their last owner', async () => {
    const { adminKey: initech } = await house.tenant('initech');
    const key = await ownerKey('initech');
    const first = await newUser(house, key, { role: 'owner' });
    expect((await as(key, 'DELETE', `users/${first.id}`)).status).toBe(409);
    expect((await as(key, 'PATCH', `users/${first.id}`, { role: 'admin' })).status).toBe(409);
    expect((await as(key, 'PATCH', `users/${first.id}`, { disabled: true })).status).toBe(409);
    await newUser(house, key, { role: 'owner' });
    expect((await as(key, 'DELETE', `users/${first.id}`)).status).toBe(204);
    expect((await as(initech, 'GET', `users/${first.id}`)).status).toBe(404);
  });

  it('are not what a key of an application is', async () => {
    expect((await as(adminKey, 'GET', 'auth/account')).status).toBe(409);
  });
});
