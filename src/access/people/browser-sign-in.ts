import type { FastifyReply, FastifyRequest } from '../../platform/api.ts';
import { AppError } from '../../platform/errors.ts';
import { cookieOf, csrfTokenOf, isSecure, setCookie } from '../sessions/session-cookies.ts';
import { absoluteMs, type Sessions } from '../sessions/sessions.service.ts';
import type { NoteSignIn } from './note-sign-in.ts';
import type { People } from './people.service.ts';
import type { UserRow } from './people.store.ts';
import type { SignInPolicy } from './sign-in-policy.ts';

export interface BrowserSignInDependencies {
  readonly sessions: Pick<Sessions, 'begin' | 'rotate' | 'currentId' | 'endCurrent' | 'userChanged'>;
  /** The person behind a principal. @throws AppError `conflict` for keys of applications. */
  readonly self: People['self'];
  readonly policy: Pick<SignInPolicy, 'missing'>;
  readonly note: NoteSignIn;
  readonly publicUrl: string | null;
}

export type BrowserSignIn = ReturnType<typeof createBrowserSignIn>;

/** The end of every way to sign in with a browser: a new session, and its cookies. */
export function createBrowserSignIn({ sessions, self, policy, note, publicUrl }: BrowserSignInDependencies) {
  const give = (request: FastifyRequest, reply: FastifyReply, token: string): string => {
    const secure = isSecure(request, publicUrl);
    const csrf = csrfTokenOf(token);
    const seconds = absoluteMs / 1000;
    reply.header('set-cookie', setCookie('session', token, seconds, secure));
    reply.header('set-cookie', setCookie('csrf', csrf, seconds, secure));
    reply.header('cache-control', 'no-store');
    return csrf;
  };

  return {
    /**
     * Whoever comes from another site's page is not signed in: that page may have chosen the account.
     * @throws AppError `forbidden`.
     */
    refuseOtherSites(request: FastifyRequest): void {
      if (request.headers['sec-fetch-site'] !== 'cross-site') return;
      throw new AppError('forbidden', 'Sign in from a page of this server, not from another site.');
    },

    /**
     * Begins a session under a new secret, whatever cookie the browser came with (so none can be planted before), and ends
     * the one it had.
     * @param shown by what, and whether that makes two factors.
     */
    async signIn(
      request: FastifyRequest,
      reply: FastifyReply,
      user: UserRow,
      { by, secondFactor }: { readonly by: string; readonly secondFactor: boolean },
    ) {
      const { token, row } = await sessions.begin(user, {
        userAgent: request.headers['user-agent'],
        address: request.clientNetwork,
        by,
        secondFactor,
      });
      await sessions.endCurrent(request);
      await note(user.tenant_id, 'sign_in.done', user.id, { by, session: row.id });
      const csrf = give(request, reply, token);
      return {
        status: 'signed_in' as const,
        user_id: user.id,
        csrf_token: csrf,
        missing_factor: await policy.missing(user, secondFactor),
        expires_at: row.expires_at.toISOString(),
      };
    },

    /**
     * Whatever changes somebody's credentials, done by themselves: what else they are signed in with ends, and the session
     * that the request came with goes on under a new secret.
     * @param change is told which session is to go on; it ends the others in its own transaction.
     * @param shown whether it shows a second factor, so that the session need not be asked for one.
     */
    async changing<T>(
      request: FastifyRequest,
      reply: FastifyReply,
      change: (user: UserRow, keep: string | null) => Promise<T>,
      shown: 'shown' | 'not_shown' = 'not_shown',
    ): Promise<T> {
      const user = await self(request.principal);
      const keep = await sessions.currentId(request, user.id);
      const result = await change(user, keep);
      sessions.userChanged(user.id);
      if (keep !== null) give(request, reply, await sessions.rotate(keep, shown === 'shown'));
      return result;
    },

    /** A second factor is shown in a session that was begun without. @param show throws when it is not right. */
    async showing(
      request: FastifyRequest,
      reply: FastifyReply,
      show: (user: UserRow) => Promise<unknown>,
    ): Promise<void> {
      const user = await self(request.principal);
      const id = await sessions.currentId(request, user.id);
      if (id === null) throw new AppError('conflict', 'This is for sessions of browsers; a token has none.');
      await show(user);
      give(request, reply, await sessions.rotate(id, true));
    },

    forget(request: FastifyRequest, reply: FastifyReply): void {
      const secure = isSecure(request, publicUrl);
      reply.header('set-cookie', setCookie('session', '', 0, secure));
      reply.header('set-cookie', setCookie('csrf', '', 0, secure));
      // What pages of this server had kept in the browser is its user's no more (https://www.w3.org/TR/clear-site-data/).
      reply.header('clear-site-data', '"cache", "storage"');
    },

    /** Of the session that a request came with; null when it came with none. */
    csrfTokenOf(request: FastifyRequest): string | null {
      const token = cookieOf(request, 'session', isSecure(request, publicUrl));
      return token === undefined ? null : csrfTokenOf(token);
    },
  };
}
