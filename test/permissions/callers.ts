import type { Role } from '../../src/access/index.ts';
import { call, type Reply, type RunningServer } from '../harness/server.ts';
import { claimsNow, signedBy, type TokenIssuer, testAudience } from '../harness/token-issuer.ts';
import type { Credential } from './matrix.ts';

/** Headers that stand for a holder of a role in the tenant `acme`, by each kind of credential. */
export interface Callers {
  headersOf(credential: Credential, role: Role): Promise<Record<string, string>>;
}

const inAcme = { 'x-tenant-id': 'acme' };
/** Passes the policy. */
const password = 'velvet-harbour-oxide-lantern';

/** @param issuer is trusted by `acme`; each role's name is a role of it. */
export function createCallers(server: RunningServer, issuer: TokenIssuer): Callers {
  const asOwner = async (method: string, path: string, body: object): Promise<any> =>
    expected(await server.call(method, path, body, inAcme));
  const asNobody = async (path: string, body: object): Promise<Reply> => {
    const reply = await call(server.url, '', 'POST', path, body, { authorization: '' });
    expected(reply);
    return reply;
  };
  const newKey = (role: Role): Promise<{ id: string; key: string }> =>
    asOwner('POST', '/api/v1/keys', { name: role, role });

  let people = 0;
  const newPerson = async (role: Role): Promise<string> => {
    const email = `${role}-${++people}@acme.example`;
    const invitation = await asOwner('POST', '/api/v1/users/invitations', { email, role });
    await asNobody('/api/v1/auth/invitations/accept', { token: invitation.token, password });
    return email;
  };
  const newSession = async (role: Role): Promise<{ cookie: string; csrf: string }> => {
    const reply = await asNobody('/api/v1/auth/sign-in', { email: await newPerson(role), password });
    const cookie = reply.headers
      .getSetCookie()
      .map((one) => one.split(';')[0])
      .join('; ');
    return { cookie, csrf: /gatehouse-csrf=([^;]+)/.exec(cookie)?.[1] ?? '' };
  };
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

  const make: Record<Credential, (role: Role) => Promise<Record<string, string>>> = {
    key: async (role) => bearer((await newKey(role)).key),
    'x-api-key': async (role) => ({ 'x-api-key': (await newKey(role)).key }),
    'key token': async (role) => {
      const { id, key } = await newKey(role);
      const grant = { grant_type: 'client_credentials', client_id: id, client_secret: key };
      return bearer((await asNobody('/api/v1/auth/token', grant)).json.access_token);
    },
    token: async (role) => {
      const email = await newPerson(role);
      return bearer((await asNobody('/api/v1/auth/token', { email, password })).json.access_token);
    },
    session: async (role) => {
      const { cookie, csrf } = await newSession(role);
      return { cookie, 'x-csrf-token': csrf };
    },
    'bare session': async (role) => ({ cookie: (await newSession(role)).cookie }),
    'issued token': async (role) => {
      const [key] = issuer.keys;
      if (!key) throw new Error('the issuer has no key');
      return bearer(signedBy(key, { ...claimsNow(issuer.url), sub: role, roles: [role] }));
    },
  };
  return { headersOf: (credential, role) => make[credential](role) };
}

/** `acme` trusts the issuer: each of its roles is the one here of that name. */
export async function trustIssuer(server: RunningServer, issuer: TokenIssuer): Promise<void> {
  const values = ['viewer', 'analyst', 'operator', 'admin'].map((role) => ({ value: role, role }));
  const settings = {
    issuer: issuer.url,
    audiences: [testAudience],
    mapping: { role: { claim: 'roles', values } },
  };
  expected(await server.call('PUT', '/api/v1/auth/issuers/company', settings, inAcme));
}

function expected(reply: Reply): any {
  if (reply.status >= 300) throw new Error(`${reply.status} ${reply.text}`);
  return reply.json;
}
