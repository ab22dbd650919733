import { createHash } from 'node:crypto';
import { z } from 'zod';
import { AppError } from '../../../platform/errors.ts';
import type { IssuerFetch } from './issuer-fetch.ts';
import type { IssuerProtocol } from './issuer-protocol.ts';

const tokenAnswer = z.object({ access_token: z.string().min(1) });
const userAnswer = z.object({ id: z.number().int(), name: z.string().nullish() });
const emailsAnswer = z
  .array(z.object({ email: z.string(), primary: z.boolean(), verified: z.boolean() }))
  .max(1_000);

/**
 * GitHub speaks OAuth 2.0 only: no discovery and no ID token, so who somebody is comes from its API, with the token that
 * was made for this very sign-in (https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps).
 */
export function createGitHub(fetch: IssuerFetch): IssuerProtocol {
  const ask = async <T>(shape: z.ZodType<T>, url: string, init?: Parameters<IssuerFetch>[1]): Promise<T> => {
    const reply = await fetch(url, init);
    const body = shape.safeParse(await reply.json().catch(() => undefined));
    // Its errors have status 200, too.
    if (reply.ok && body.success) return body.data;
    throw new AppError('unauthenticated', 'GitHub did not confirm this sign-in. Begin again.', {
      cause: new Error(`${new URL(url).pathname} answered ${reply.status}`),
    });
  };

  return {
    async authorizationUrl({ issuer, client_id }, _secret, { redirectUri, state, verifier }) {
      const url = new URL('/login/oauth/authorize', issuer);
      url.search = new URLSearchParams({
        client_id,
        redirect_uri: redirectUri,
        scope: 'read:user user:email',
        state,
        code_challenge: createHash('sha256').update(verifier).digest('base64url'),
        code_challenge_method: 'S256',
      }).toString();
      return url;
    },

    async exchange({ issuer, client_id }, secret, { redirectUri, query, verifier }) {
      const code = new URLSearchParams(query).get('code');
      if (code === null) throw new AppError('unauthenticated', 'The sign-in at GitHub was not finished.');
      const { access_token } = await ask(tokenAnswer, new URL('/login/oauth/access_token', issuer).href, {
        method: 'POST',
        headers: { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({
          client_id,
          client_secret: secret ?? '',
          code,
          redirect_uri: redirectUri,
          code_verifier: verifier,
        }).toString(),
      });
      const api =
        new URL(issuer).host === 'github.com' ? 'https://api.github.com' : new URL('/api/v3', issuer).href;
      const headers = { accept: 'application/vnd.github+json', authorization: `Bearer ${access_token}` };
      const user = await ask(userAnswer, `${api}/user`, { headers });
      const emails = await ask(emailsAnswer, `${api}/user/emails`, { headers });
      const primary = emails.find((entry) => entry.primary);
      return {
        subject: String(user.id),
        email: primary?.email ?? null,
        emailVerified: primary?.verified ?? false,
        name: user.name ?? null,
        groups: null,
        // It does not say.
        secondFactor: false,
      };
    },
  };
}
