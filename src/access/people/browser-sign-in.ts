import type { FastifyReply, FastifyRequest } from '../../platform/api.ts';
import { AppError } from '../../platform/errors.ts';
import { cookieOf, csrfTokenOf, isSecure, setCookie } from '../sessions/session-cookies.ts';
import { absoluteMs, type Sessions } from '../sessions/sessions.service.ts';
import type { NoteSignIn } from './note-sign-in.ts';
import type { UserRow } from './people.store.ts';

export interface BrowserSignInDependencies {
  readonly sessions: Pick<Sessions, 'begin' | 'rotate' | 'currentId' | 'endCurrent'>;
  readonly note: NoteSignIn;
  readonly publicUrl: string | null;
}

export type BrowserSignIn = ReturnType<typeof createBrowserSignIn>;

/** The end of every way to sign in with a browser: a new session, and its cookies. */
export function createBrowserSignIn({ sessions, note, publicUrl }: BrowserSignInDependencies) {
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
     */
    async signIn(request: FastifyRequest, reply: FastifyReply, user: UserRow, by: string) {
      const { token, row } = await sessions.begin(user, {
        userAgent: request.headers['user-agent'],
        address: request.clientNetwork,
        by,
      });
      await sessions.endCurrent(request);
      await note(user.tenant_id, 'sign_in.done', user.id, { by, session: row.id });
      const csrf = give(request, reply, token);
      return {
        status: 'signed_in' as const,
        user_id: user.id,
        csrf_token: csrf,
        expires_at: row.expires_at.toISOString(),
      };
    },

    /** The same session under a new secret: after something about its user's credentials has changed. */
    async renew(request: FastifyRequest, reply: FastifyReply): Promise<void> {
      const id = await sessions.currentId(request);
      if (id !== null) give(request, reply, await sessions.rotate(id));
    },

    forget(request: FastifyRequest, reply: FastifyReply): void {
      const secure = isSecure(request, publicUrl);
      reply.header('set-cookie', setCookie('session', '', 0, secure));
      reply.header('set-cookie', setCookie('csrf', '', 0, secure));
    },

    /** Of the session that a request came with; null when it came with none. */
    csrfTokenOf(request: FastifyRequest): string | null {
      const token = cookieOf(request, 'session', isSecure(request, publicUrl));
      return token === undefined ? null : csrfTokenOf(token);
    },
  };
}
