import type { Routes } from '../../platform/api.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Database } from '../../platform/database/database.ts';
import type { NewId } from '../../platform/ids.ts';
import type { Log } from '../../platform/log.ts';
import type { Random } from '../../platform/random.ts';
import type { Secrets } from '../../platform/secret-box.ts';
import { createGivenSecrets, type SecretReferences } from '../../platform/secret-references/index.ts';
import type { Access } from '../access.service.ts';
import { createSessions } from '../sessions/sessions.service.ts';
import { createSessionsStore } from '../sessions/sessions.store.ts';
import { accountRoutes } from './account.routes.ts';
import { createBrowserSignIn } from './browser-sign-in.ts';
import { createGitHub } from './issuers/github.ts';
import { type AddressCheck, createIssuerFetch } from './issuers/issuer-fetch.ts';
import { createIssuerSignIn } from './issuers/issuer-sign-in.ts';
import { issuersRoutes } from './issuers/issuers.routes.ts';
import { createIssuers } from './issuers/issuers.service.ts';
import { createIssuersStore } from './issuers/issuers.store.ts';
import { createOpenIdIssuers } from './issuers/openid-issuer.ts';
import { createVouchedPeople } from './issuers/vouched-person.ts';
import { mailRoutes } from './mail/mail.routes.ts';
import { createMailDueStore } from './mail/mail-due.store.ts';
import type { MailSender } from './mail/mail-message.ts';
import { createMailing } from './mail/mailing.ts';
import type { NoteSignIn } from './note-sign-in.ts';
import { passkeysRoutes } from './passkeys.routes.ts';
import { createPasskeysStore } from './passkeys.store.ts';
import { createPasskeys } from './passkeys.ts';
import { createPasswordHasher } from './password-hash.ts';
import { createPasswordPolicy } from './password-policy.ts';
import { createPasswordSignIn } from './password-sign-in.ts';
import { createPeopleService } from './people.service.ts';
import { createPeopleStore } from './people.store.ts';
import { secondFactorsRoutes } from './second-factors.routes.ts';
import { createSecondFactorsStore } from './second-factors.store.ts';
import { createSecondFactors } from './second-factors.ts';
import { signInRoutes } from './sign-in.routes.ts';
import { signInPolicyRoutes } from './sign-in-policy.routes.ts';
import { createSignInPolicyStore } from './sign-in-policy.store.ts';
import { createSignInPolicy } from './sign-in-policy.ts';
import { createSignInTries } from './sign-in-tries.ts';
import { createTriesStore } from './tries.store.ts';
import { usersRoutes } from './users.routes.ts';
import { createWaitingSignIns } from './waiting-sign-ins.ts';

export interface CreatePeopleDependencies {
  readonly database: Database;
  readonly access: Pick<Access, 'tenant' | 'role' | 'roleOf' | 'admit'>;
  readonly secretBox: Secrets;
  /** Absent: only secrets themselves are taken. */
  readonly references?: SecretReferences;
  readonly note: NoteSignIn;
  readonly countFailedAuthentication: () => void;
  readonly subscribe: (onChange: (change: string) => void, onGap: () => void) => void;
  /** Which addresses issuers may have. */
  readonly issuerAddresses: AddressCheck;
  /** What brings mail to people, and where their pages are; without a sender, links are handed over. */
  readonly mail?: { readonly sender: MailSender | null; readonly pages: string | null };
  /** Where browsers reach this server; null when it was not configured. */
  readonly publicUrl: string | null;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly random: Random;
  readonly log: Log;
}

const sweepIntervalMs = 60_000;
const sweepBatch = 1_000;

/** Builds everything about people: users, ways to sign in, sessions. */
export function createPeople(deps: CreatePeopleDependencies) {
  const { database, access, clock, newId, random, log, note, publicUrl, countFailedAuthentication } = deps;
  const store = createPeopleStore(database);
  const factorsStore = createSecondFactorsStore(database);
  const triesStore = createTriesStore(database);
  const hasher = createPasswordHasher();
  const tries = createSignInTries({ store: triesStore, clock });
  const { tenant, role } = access;

  const sessions = createSessions({
    store: createSessionsStore(database),
    tenant,
    role,
    admit: access.admit,
    countFailedAuthentication,
    subscribe: deps.subscribe,
    publicUrl,
    clock,
    newId,
    random,
    log,
  });
  const secondFactors = createSecondFactors({
    store: factorsStore,
    tries,
    secretBox: deps.secretBox,
    clock,
    newId,
    random,
  });
  const policy = createSignInPolicy({
    store: createSignInPolicyStore(database),
    roleOf: access.roleOf,
    changed: sessions.policyChanged,
    clock,
    newId,
  });
  const mailing = createMailing({
    store: createMailDueStore(database),
    users: store,
    tries,
    tenant,
    sender: deps.mail?.sender ?? null,
    pages: deps.mail?.pages ?? null,
    clock,
    newId,
    random,
    log,
  });
  const people = createPeopleService({
    store,
    hasher,
    policy: createPasswordPolicy(),
    mailing,
    role,
    userChanged: sessions.userChanged,
    clock,
    newId,
    random,
  });
  const issuerFetch = createIssuerFetch(deps.issuerAddresses);
  const issuersStore = createIssuersStore(database);
  const issuers = createIssuers({
    store: issuersStore,
    secrets: createGivenSecrets(deps.secretBox, deps.references),
    check: deps.issuerAddresses,
    tenant,
    role,
    clock,
    newId,
  });
  const issuerSignIn = createIssuerSignIn({
    issuers,
    people: createVouchedPeople({
      store: issuersStore,
      users: store,
      userChanged: sessions.userChanged,
      clock,
      newId,
    }),
    underWay: factorsStore,
    openId: createOpenIdIssuers(issuerFetch.fetch, clock),
    gitHub: createGitHub(issuerFetch.fetch),
    secretBox: deps.secretBox,
    clock,
    random,
  });
  const parts = {
    sessions,
    issuers,
    issuerSignIn,
    passkeys: createPasskeys({
      store: createPasskeysStore(database),
      users: store,
      underWay: factorsStore,
      note,
      clock,
      newId,
      random,
    }),
    publicUrl,
    secondFactors,
    people,
    policy,
    mailing,
    tries,
    passwordSignIn: createPasswordSignIn({
      store,
      hasher,
      tries,
      secondFactors,
      policy,
      tenant,
      note,
      countFailedAuthentication,
    }),
    waitingSignIns: createWaitingSignIns({
      store: factorsStore,
      users: store,
      secondFactors,
      policy,
      note,
      clock,
      random,
    }),
    browser: createBrowserSignIn({ sessions, self: people.self, policy, note, publicUrl }),
  };

  const stopping = new AbortController();
  let sweeper: Promise<void> = Promise.resolve();
  return {
    ...parts,
    /** The caller of a browser's request, by its cookie. */
    authenticateSession: sessions.authenticateSession,

    async start(): Promise<void> {
      await sessions.start();
      mailing.start();
      sweeper = (async () => {
        while (!stopping.signal.aborted) {
          await clock.sleep(sweepIntervalMs, stopping.signal).catch(() => {});
          const now = clock.now();
          const swept = [store.removeExpired, factorsStore.removeExpired, triesStore.removeOld];
          await Promise.all(swept.map((sweep) => sweep(now, sweepBatch))).catch((error) =>
            log.warn({ err: error }, 'what has expired of sign-ins was not removed'),
          );
        }
      })();
    },
    async stop(): Promise<void> {
      stopping.abort();
      await Promise.all([sessions.stop(), mailing.stop(), sweeper, issuerFetch.stop()]);
    },
  };
}

export type People = ReturnType<typeof createPeople>;

export function peopleRoutes(people: People): Routes {
  return (api) => {
    signInRoutes(people)(api);
    accountRoutes(people)(api);
    secondFactorsRoutes(people)(api);
    signInPolicyRoutes(people)(api);
    mailRoutes(people)(api);
    usersRoutes(people)(api);
    issuersRoutes(people)(api);
    passkeysRoutes(people)(api);
  };
}
