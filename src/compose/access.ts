import {
  createAccess,
  createAccessStore,
  createPeople,
  createTokens,
  smtpMailSender,
} from '../access/index.ts';
import { platformLog } from '../audit/index.ts';
import { createAddressGuard } from '../notifications/index.ts';
import { isReference, type SecretReferences } from '../platform/secret-references/index.ts';
import { createSmtp } from '../platform/smtp/index.ts';
import type { AuditSection } from './audit.ts';
import type { Platform } from './platform.ts';
import type { SecretsSection } from './secrets.ts';

export type AccessSection = ReturnType<typeof composeAccess>;

/** Who is asking: by key, by token or by session. Each of the three knows the others. */
export function composeAccess(
  platform: Platform,
  { secretBox, references, audit }: SecretsSection & AuditSection,
) {
  const { config, database, notifications, clock, newId, random, log, counter } = platform;
  const failedAuthentication = counter(
    'failed_auth_total',
    'Requests refused for want of a valid credential',
  );
  const countFailedAuthentication = () => failedAuthentication.inc();
  const crossTenant = counter(
    'cross_tenant_attempts_total',
    "Requests that named another tenant than their key's",
  );
  const access = createAccess({
    store: createAccessStore(database),
    clock,
    newId,
    random,
    log,
    countFailedAuthentication,
    countCrossTenantAttempt: () => crossTenant.inc(),
    authenticateToken: (token, tenant) => tokens.authenticate(token, tenant),
    subscribe: (onChange, onGap) => notifications.subscribe('access_changed', onChange, onGap),
  });
  const tokens = createTokens(
    {
      database,
      secrets: secretBox,
      clock,
      newId,
      random,
      log,
      parties: tokenParties(config.publicUrl),
      issuerAddresses: createAddressGuard(config.notifications.allowedAddresses),
      subscribe: (onChange, onGap) => notifications.subscribe('tokens_changed', onChange, onGap),
    },
    {
      ...access,
      authenticateKey: (key) => access.authenticate(key, undefined),
      checkPassword: async ({ network, ...given }) => {
        const { id, tenant_id } = await people.passwordSignIn.checkAll(given, network);
        return { userId: id, tenantId: tenant_id };
      },
      noteSignIn: (tenantId, { by, ...target }) =>
        database.apart(() =>
          audit.note(
            { tenantId, readerTokens: [] },
            { ...target, action: 'sign_in.done', outcome: 'done', details: { by } },
          ),
        ),
      refuseWithoutFactor: (user) => people.policy.refuseTokensWithoutCodes(user),
      countFailedAuthentication,
    },
  );
  const people = createPeople({
    database,
    access,
    secretBox,
    references,
    note: (tenantId, action, userId, details) =>
      database.apart(() =>
        audit.note(
          { tenantId: tenantId ?? platformLog.tenantId, readerTokens: [] },
          {
            action,
            targetType: 'user',
            targetId: userId,
            outcome: action === 'sign_in.refused' ? 'denied' : 'done',
            details,
          },
        ),
      ),
    countFailedAuthentication,
    subscribe: (onChange, onGap) => notifications.subscribe('sessions_changed', onChange, onGap),
    issuerAddresses: createAddressGuard(config.notifications.allowedAddresses),
    mail: { sender: mailSender(platform, references), pages: config.mail?.pages ?? null },
    publicUrl: config.publicUrl,
    clock,
    newId,
    random,
    log,
  });
  return { access, tokens, people };
}

/** What brings mail to people; null when none was configured. */
function mailSender(
  { config: { mail }, clock }: Pick<Platform, 'config' | 'clock'>,
  references: Pick<SecretReferences, 'resolve'>,
) {
  if (mail === null) return null;
  const password = async () =>
    mail.password !== null && isReference(mail.password) ? references.resolve(mail.password) : mail.password;
  return smtpMailSender(createSmtp({ ...mail, password }, clock), mail.host);
}

/** Tokens name who made them and whom they are for: this installation, by the address that all instances share. */
function tokenParties(publicUrl: string | null) {
  const name = publicUrl === null ? 'gatehouse' : publicUrl.replace(/\/$/, '');
  return { issuer: name, audience: name };
}
