import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import Provider from 'oidc-provider';
import { closed } from './issuer.ts';
import { newIssuerKey } from './token-issuer.ts';

export interface OidcTokens {
  readonly url: string;
  /** An access token (RFC 9068) for a client of it, by the client credentials grant. */
  tokenFor(client: string): Promise<string>;
  stop(): Promise<void>;
}

const clientSecret = 'client-secret-of-a-test';

/**
 * A real issuer (OpenID Connect) on a port of its own, that signs access tokens for an audience.
 * @param clients their ids, and what their tokens tell besides.
 */
export async function startOidcTokens(
  audience: string,
  clients: Record<string, object>,
): Promise<OidcTokens> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const key = newIssuerKey('RS256');
  const provider = new Provider(url, {
    clients: Object.keys(clients).map((id) => ({
      client_id: id,
      client_secret: clientSecret,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: 'client_secret_post',
    })),
    jwks: { keys: [{ ...key.privateKey.export({ format: 'jwk' }), kid: key.kid, alg: 'RS256', use: 'sig' }] },
    extraTokenClaims: (_context: unknown, { clientId }: { clientId: string }) => clients[clientId],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        getResourceServerInfo: () => ({
          scope: 'read',
          audience,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 300,
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  });
  server.on('request', provider.callback());
  return {
    url,
    async tokenFor(client) {
      const body = new URLSearchParams({
        grant_type: 'client_credentials',
        client_id: client,
        client_secret: clientSecret,
      });
      const reply = await fetch(`${url}/token`, { method: 'POST', body });
      const said = (await reply.json()) as { access_token?: string };
      if (!said.access_token) throw new Error(`the issuer answered ${reply.status}: ${JSON.stringify(said)}`);
      return said.access_token;
    },
    stop: () => closed(server),
  };
}
