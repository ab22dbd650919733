import type { Clock } from '../../../platform/clock.ts';
import { AppError } from '../../../platform/errors.ts';
import type { NewId } from '../../../platform/ids.ts';
import type { Log } from '../../../platform/log.ts';
import type { Random } from '../../../platform/random.ts';
import type { TenantFacts } from '../../principal.ts';
import { hashToken, isTokenShaped, newToken } from '../one-time-token.ts';
import type { InvitationRow, PeopleStore, UserRow } from '../people.store.ts';
import type { SignInTries } from '../sign-in-tries.ts';
import type { DueMail } from './due-mail.ts';
import type { MailDueStore } from './mail-due.store.ts';
import { linkOf, type MailKind, type MailMessage, type MailSender } from './mail-message.ts';

export interface MailingDependencies {
  readonly store: MailDueStore;
  readonly users: Pick<PeopleStore, 'userByEmail' | 'userById'>;
  readonly tries: Pick<SignInTries, 'ofMail'>;
  readonly tenant: (id: string) => TenantFacts | undefined;
  /** Null: none was configured, and links are handed over by administrators. */
  readonly sender: MailSender | null;
  /** Where this installation's pages for people are. */
  readonly pages: string | null;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly random: Pick<Random, 'bytes'>;
  readonly log: Log;
}

export type Mailing = ReturnType<typeof createMailing>;

const minute = 60_000;
const resetMs = 30 * minute;
const verificationMs = 24 * 60 * minute;
/** Requests of strangers that may wait; each is a small row, for half an hour. */
const mostOfStrangers = 10_000;
/** Sent at once. */
const batch = 5;
const pollMs = 2_000;
/** After it, what an instance took and did not finish is another's. */
const leaseMs = 2 * minute;
const firstRetryMs = 10_000;
const longestRetryMs = 15 * minute;

/**
 * Links that people get by mail: invitations, new passwords, confirmed addresses. Asking leaves a note that mail is due; the
 * secret is made when it goes out, so that only its hash is ever stored and whoever asks cannot tell what came of it.
 */
export function createMailing(deps: MailingDependencies) {
  const { store, sender, clock, log } = deps;
  const stopping = new AbortController();
  let loop: Promise<void> = Promise.resolve();
  let woken = new AbortController();
  const wake = () => woken.abort();

  const dueNow = (kind: MailKind, email: string, lifeMs: number): DueMail => {
    const now = clock.now();
    const expires = new Date(now.getTime() + lifeMs);
    const row = { id: deps.newId(), tenant_id: null, kind, subject_id: null, email, attempts: 0 };
    return { ...row, created_at: now, due_at: now, expires_at: expires };
  };

  /** What is to be sent, with a new secret of which the database has the hash; undefined when there is nobody any more. */
  const messageOf = async (due: DueMail): Promise<MailMessage | undefined> => {
    const now = clock.now();
    const { token, hash } = newToken(deps.random);
    const link = { id: deps.newId(), token_hash: hash, created_at: now, expires_at: due.expires_at };
    const message = (tenantId: string, to: string, name: string | null, expiresAt: Date) => {
      const tenant = deps.tenant(tenantId);
      // One that was made elsewhere an instant ago is heard of soon; what was due for a deleted one went with it.
      if (!tenant) throw new Error('its tenant is not known here yet');
      const { id, kind } = due;
      const of = { id: tenant.id, name: tenant.name };
      return { id, kind, to, name, tenant: of, token, link: linkOf(deps.pages, kind, token), expiresAt };
    };
    if (due.kind === 'invitation') {
      const row = await store.renewInvitation(due.subject_id ?? '', hash, now);
      return row && message(row.tenant_id, row.email, null, row.expires_at);
    }
    const user =
      due.subject_id === null
        ? await deps.users.userByEmail(due.email)
        : await deps.users.userById(due.subject_id);
    if (!user || user.disabled_at !== null) return undefined;
    const of = { ...link, tenant_id: user.tenant_id, user_id: user.id };
    if (due.kind === 'email_verification') await store.addVerification(of);
    else {
      // Whoever signs in at an issuer has no password to forget, and gets none from here.
      if (user.password_hash === null) return undefined;
      await store.addReset({ ...of, mailed_at: now });
    }
    return message(user.tenant_id, user.email, user.name, due.expires_at);
  };

  const sendOne = async (due: DueMail, by: MailSender): Promise<void> => {
    try {
      const message = await messageOf(due);
      if (message) await by.send(message);
      await store.done(due.id);
    } catch (error) {
      if (due.kind === 'invitation') await store.notMailed(due.subject_id ?? '');
      if ((error as { permanent?: unknown }).permanent === true) {
        log.warn({ err: error, mail: due.id, kind: due.kind }, 'mail was refused and is not sent again');
        await store.done(due.id);
        return;
      }
      const waitMs = Math.min(longestRetryMs, firstRetryMs * 2 ** Math.min(10, due.attempts - 1));
      log.warn({ err: error, mail: due.id, kind: due.kind, attempts: due.attempts }, 'mail was not sent yet');
      await store.put(due.id, new Date(clock.now().getTime() + waitMs));
    }
  };

  const sendDue = async (by: MailSender): Promise<void> => {
    for (;;) {
      const now = clock.now();
      const taken = await store.take(now, new Date(now.getTime() + leaseMs), batch);
      await Promise.all(taken.map((due) => sendOne(due, by)));
      if (taken.length < batch || stopping.signal.aborted) return;
    }
  };

  return {
    /** For administrators: whether links reach people by themselves, and how or what to do. */
    how:
      sender === null
        ? {
            configured: false,
            detail:
              'No mail is sent: the answers to invitations and password resets hold the token, for you to hand over, and ' +
              'people who forgot their password need you. Set GATEHOUSE_SMTP_URL and GATEHOUSE_MAIL_FROM to send mail.',
          }
        : { configured: true, detail: `Links are mailed ${sender.by}.` },

    /**
     * Somebody forgot the password of an address. The work and the answer are the same whether or not it is anybody's.
     * @throws AppError `no_mail_configured`; `rate_limited` for a network that asks often; `overloaded`.
     */
    async forgotten(email: string, network: string): Promise<void> {
      if (sender === null) {
        throw new AppError(
          'no_mail_configured',
          'This installation sends no mail. Ask an administrator: they can make a link for a new password.',
        );
      }
      // Links that were sent stay good when somebody else asks for more of them than one account is sent.
      if (!(await deps.tries.ofMail('password_reset', email, network))) return;
      if (!(await store.addOfStranger(dueNow('password_reset', email, resetMs), mostOfStrangers))) {
        throw new AppError('overloaded', 'Too many requests wait. Try again later.', {
          retryAfterSeconds: 60,
        });
      }
      wake();
    },

    /** What is to be stored together with an invitation, so that it is mailed; null when no mail is sent. */
    ofInvitation(row: Pick<InvitationRow, 'id' | 'tenant_id' | 'email' | 'expires_at'>): DueMail | null {
      if (sender === null) return null;
      const due = dueNow('invitation', row.email, 0);
      return { ...due, tenant_id: row.tenant_id, subject_id: row.id, expires_at: row.expires_at };
    },
    /** Something is due that was stored elsewhere. */
    wake,

    /** Sends a link to somebody's own address. @throws AppError `no_mail_configured`, `rate_limited`. */
    async verification(user: UserRow, network: string): Promise<void> {
      if (sender === null) {
        throw new AppError(
          'no_mail_configured',
          'This installation sends no mail, so no address can be confirmed.',
        );
      }
      if (!(await deps.tries.ofMail('email_verification', user.email, network))) return;
      const due = dueNow('email_verification', user.email, verificationMs);
      const scope = { tenantId: user.tenant_id, readerTokens: [] };
      await store.add(scope, { ...due, tenant_id: user.tenant_id, subject_id: user.id });
      wake();
    },

    /** @throws AppError `invalid` for a link that was used, is wrong or has expired. */
    async verify(token: string): Promise<void> {
      if (isTokenShaped(token) && (await store.verify(hashToken(token), clock.now()))) return;
      throw new AppError('invalid', 'This link is wrong, was used, or has expired. Ask for another one.', {
        errors: [{ path: 'token', message: 'is not a link that still works' }],
      });
    },

    start(): void {
      if (sender === null) return;
      loop = (async () => {
        while (!stopping.signal.aborted) {
          woken = new AbortController();
          await sendDue(sender).catch((error) => log.warn({ err: error }, 'mail that is due was not read'));
          await clock.sleep(pollMs, AbortSignal.any([stopping.signal, woken.signal])).catch(() => {});
        }
      })();
    },
    async stop(): Promise<void> {
      stopping.abort();
      await loop;
    },
  };
}
