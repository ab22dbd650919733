import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import Provider from 'oidc-provider';

export interface Person {
  readonly email?: string;
  readonly email_verified?: boolean;
  readonly name?: string;
  readonly groups?: readonly string[];
  /** How they signed in there, as the issuer says it. */
  readonly amr?: readonly string[];
  readonly acr?: string;
}

export interface Issuer {
  readonly url: string;
  /** Who there is, by subject. */
  readonly people: Map<string, Person>;
  /**
   * Somebody follows the links of the issuer's pages, in a browser of their own.
   * @returns the address that the issuer sends them back to.
   */
  visit(url: string, subject: string): Promise<URL>;
  stop(): Promise<void>;
}

export const clientId = 'gatehouse';
export const clientSecret = 'client-secret-of-a-test';

/** A real issuer (OpenID Connect) on a port of its own, whose pages ask nobody anything. */
export async function startIssuer(redirectUris: readonly string[]): Promise<Issuer> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const people = new Map<string, Person>();
  let visitor = '';
  const provider = new Provider(url, {
    clients: [
      {
        client_id: clientId,
        client_secret: clientSecret,
        redirect_uris: redirectUris,
        token_endpoint_auth_method: 'client_secret_post',
      },
    ],
    cookies: { keys: ['a key of a test'] },
    pkce: { required: () => true },
    conformIdTokenClaims: false,
    claims: {
      openid: ['sub', 'amr', 'acr'],
      email: ['email', 'email_verified'],
      profile: ['name', 'groups'],
    },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_context: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
    findAccount: (_context: unknown, accountId: string) => ({
      accountId,
      claims: async () => ({ sub: accountId, ...people.get(accountId) }),
    }),
  });
  const interact = async (request: IncomingMessage, response: ServerResponse) => {
    const { prompt, params, session } = await provider.interactionDetails(request, response);
    if (prompt.name === 'login') {
      const { amr, acr } = people.get(visitor) ?? {};
      const login = { login: { accountId: visitor, amr, acr } };
      return provider.interactionFinished(request, response, login, { mergeWithLastSubmission: false });
    }
    const grant = new provider.Grant({
      accountId: session?.accountId ?? '',
      clientId: params.client_id ?? '',
    });
    grant.addOIDCScope('openid email profile');
    const consent = { consent: { grantId: await grant.save() } };
    return provider.interactionFinished(request, response, consent, { mergeWithLastSubmission: true });
  };
  const callback = provider.callback();
  server.on('request', (request, response) => {
    if (!request.url?.startsWith('/interaction/')) return callback(request, response);
    interact(request, response).catch((error) => response.writeHead(500).end(String(error)));
  });

  return {
    url,
    people,
    async visit(start, subject) {
      visitor = subject;
      const cookies = new Map<string, string>();
      let at = new URL(start);
      for (let hop = 0; hop < 10 && at.origin === url; hop++) {
        const reply = await fetch(at, {
          redirect: 'manual',
          headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
        });
        for (const line of reply.headers.getSetCookie()) {
          const [pair = ''] = line.split(';');
          cookies.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1));
        }
        const location = reply.headers.get('location');
        if (location === null) throw new Error(`the issuer answered ${reply.status}: ${await reply.text()}`);
        at = new URL(location, at);
      }
      return at;
    },
    stop: () => closed(server),
  };
}

export function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
