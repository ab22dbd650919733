import * as client from 'openid-client';
import { createBoundedCache } from '../../../platform/bounded-cache.ts';
import type { Clock } from '../../../platform/clock.ts';
import { AppError } from '../../../platform/errors.ts';
import type { IssuerFetch } from './issuer-fetch.ts';
import type { IssuerProtocol } from './issuer-protocol.ts';
import type { IssuerRow } from './issuers.store.ts';
import type { Vouched } from './vouched-person.ts';

const knownForMs = 3_600_000;
const mostKnown = 200;

/** Issuers that speak OpenID Connect, found by discovery: Google, Microsoft and any other. */
export function createOpenIdIssuers(fetch: IssuerFetch, clock: Pick<Clock, 'monotonicMs'>): IssuerProtocol {
  const known = createBoundedCache<string, { config: client.Configuration; atMs: number }>(mostKnown);
  const customFetch: client.CustomFetch = (url, { method, headers, body }) =>
    fetch(url, {
      method,
      headers: Object.fromEntries(Object.entries(headers)),
      body: body instanceof URLSearchParams ? body.toString() : typeof body === 'string' ? body : undefined,
    });

  const configurationOf = async (issuer: IssuerRow, secret: string | null): Promise<client.Configuration> => {
    const key = `${issuer.id} ${issuer.updated_at.getTime()}`;
    const found = known.get(key);
    if (found && found.atMs + knownForMs > clock.monotonicMs()) return found.config;
    const url = new URL(issuer.issuer);
    const config = await client
      .discovery(
        url,
        issuer.client_id,
        undefined,
        secret === null ? client.None() : client.ClientSecretPost(secret),
        {
          [client.customFetch]: customFetch,
          execute: [
            // By default the library believes ID tokens for the TLS connection that they came by. Their signatures are
            // checked as well, with the issuer's public keys: what ends TLS in between is then no issuer.
            client.enableNonRepudiationChecks,
            // Whether plain HTTP may be used at all was decided with the address.
            ...(url.protocol === 'http:' ? [client.allowInsecureRequests] : []),
          ],
        },
      )
      .catch((cause) => {
        if (cause instanceof AppError) throw cause;
        throw new AppError('upstream_failed', 'The issuer could not be asked for its description.', {
          cause,
        });
      });
    known.set(key, { config, atMs: clock.monotonicMs() });
    return config;
  };

  return {
    async authorizationUrl(issuer, secret, { redirectUri, state, nonce, verifier }) {
      const config = await configurationOf(issuer, secret);
      return client.buildAuthorizationUrl(config, {
        redirect_uri: redirectUri,
        scope: 'openid email profile',
        state,
        nonce,
        code_challenge: await client.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        ...(issuer.mfa_acr_values.length > 0 && { acr_values: issuer.mfa_acr_values.join(' ') }),
      });
    },

    async exchange(issuer, secret, { redirectUri, query, state, nonce, verifier }): Promise<Vouched> {
      const config = await configurationOf(issuer, secret);
      const url = new URL(redirectUri);
      url.search = query;
      const tokens = await client
        .authorizationCodeGrant(config, url, {
          expectedState: state,
          expectedNonce: nonce,
          pkceCodeVerifier: verifier,
          idTokenExpected: true,
        })
        .catch((cause) => {
          throw new AppError('unauthenticated', 'The issuer did not confirm this sign-in. Begin again.', {
            cause,
          });
        });
      const claims = tokens.claims();
      if (!claims) throw new AppError('unauthenticated', 'The issuer sent no ID token.');
      const { sub, email, email_verified, name } = claims;
      return {
        subject: sub,
        email: typeof email === 'string' ? email : null,
        emailVerified: email_verified === true,
        name: typeof name === 'string' ? name : null,
        groups: issuer.groups_claim === null ? null : textsOf(claims[issuer.groups_claim]),
        secondFactor: saysTwoFactors(issuer, claims),
      };
    },
  };
}

/** `mfa` in `amr` (RFC 8176, section 2), or an `acr` that the issuer's settings name; nothing else, and nothing unasked. */
function saysTwoFactors(
  { trust_mfa, mfa_acr_values }: IssuerRow,
  { amr, acr }: Readonly<Record<string, unknown>>,
): boolean {
  if (trust_mfa && Array.isArray(amr) && amr.includes('mfa')) return true;
  return typeof acr === 'string' && mfa_acr_values.includes(acr);
}

function textsOf(claim: unknown): string[] {
  const values = Array.isArray(claim) ? claim : [claim];
  return values.filter((value) => typeof value === 'string').slice(0, 1_000);
}
