import type { z } from 'zod';
import type { Clock } from '../../platform/clock.ts';
import { AppError, notFound } from '../../platform/errors.ts';
import {
  type GivenSecrets,
  type Giver,
  isReference,
  type SecretReferences,
} from '../../platform/secret-references/index.ts';
import { deliverS3, type OpenBucket } from './deliver-s3.ts';
import { deliverSyslog } from './deliver-syslog.ts';
import { deliverWebhook, type WebhookWays } from './deliver-webhook.ts';
import type { Deliver, Destination } from './destination.ts';
import { type destinationBody, isSigningSecret } from './forwarding.schema.ts';
import type { DestinationRow, ForwardingStore, Lag } from './forwarding.store.ts';

/** What a destination's secret is sealed for. */
export const destinationPurpose = (name: string) => `audit destination:${name}`;

export interface ForwardingDependencies {
  readonly store: ForwardingStore;
  readonly secrets: Pick<GivenSecrets, 'seal' | 'refuseForeign'>;
  /** @returns why nothing is sent to this URL, in words; null when it may be tried. */
  readonly objectionTo: (url: URL) => string | null;
  readonly newSigningSecret: () => string;
  readonly clock: Pick<Clock, 'now'>;
}

export interface ShownDestination {
  readonly row: DestinationRow;
  readonly lag: Lag | undefined;
}

export type Forwarding = ReturnType<typeof createForwarding>;
type Given = z.infer<typeof destinationBody>;

const maxDestinations = 10;

/** Setting up where the log is forwarded to. */
export function createForwarding({
  store,
  secrets,
  objectionTo,
  newSigningSecret,
  clock,
}: ForwardingDependencies) {
  const shown = async (row: DestinationRow): Promise<ShownDestination> => ({
    row,
    lag: (await store.lags()).find(({ name }) => name === row.name),
  });

  return {
    async list(): Promise<ShownDestination[]> {
      const lags = await store.lags();
      return (await store.list()).map((row) => ({ row, lag: lags.find(({ name }) => name === row.name) }));
    },

    /**
     * Sets a destination up, or changes one; how far it got stays as it was.
     * @returns with a webhook's signing secret when one was made for it: the only time that it is shown.
     * @throws AppError `invalid` for an address that is refused or a reference that is not this caller's to give; `conflict`
     *   when there are ten already.
     */
    async put(
      name: string,
      given: Given,
      giver: Giver,
    ): Promise<ShownDestination & { secret: string | null }> {
      const before = await store.find(name);
      if (before === null && (await store.list()).length >= maxDestinations) {
        throw new AppError(
          'conflict',
          `There are ${maxDestinations} destinations already. Remove one first.`,
        );
      }
      const destination = described(given);
      if (destination.kind === 'webhook') checkAddress(destination.url, objectionTo);
      if (given.kind === 's3') secrets.refuseForeign(given.access_key_id, 'access_key_id', giver);
      const { made, value } = secretOf(given, before, newSigningSecret);
      if (value !== null) secrets.refuseForeign(value, secretField[given.kind], giver);
      const kept = value === null && given.kind === before?.kind ? before : null;
      const sealed =
        value === null ? (kept?.sealed ?? null) : await secrets.seal(value, destinationPurpose(name), null);
      const secret_reference =
        value === null ? (kept?.secret_reference ?? null) : isReference(value) ? value : null;
      const { kind } = destination;
      const { enabled, tenants } = given;
      const row = { name, kind, enabled, shown: destination, sealed, secret_reference, tenants };
      await store.put(row, clock.now());
      const stored = await store.find(name);
      if (!stored) throw notFound('destination');
      return { ...(await shown(stored)), secret: made };
    },

    /** How far it got is forgotten with it. @throws AppError `not_found`. */
    async remove(name: string): Promise<void> {
      if (!(await store.remove(name))) throw notFound('destination');
    },
  };
}

const secretField = { syslog: '', webhook: 'secret', s3: 'secret_access_key' } as const;

/** @returns the secret or reference to be stored, and which one was made here; null: what is stored stays. */
function secretOf(
  given: Given,
  before: DestinationRow | null,
  make: () => string,
): { made: string | null; value: string | null } {
  if (given.kind === 'syslog') return { made: null, value: null };
  if (given.kind === 's3') return { made: null, value: given.secret_access_key };
  if (given.secret !== undefined) return { made: null, value: given.secret };
  const made = before?.kind === 'webhook' && before.sealed !== null ? null : make();
  return { made, value: made };
}

/** Opens the way to a stored destination. */
export function wayToDestination(deps: {
  readonly secrets: Pick<GivenSecrets, 'open'>;
  readonly references: Pick<SecretReferences, 'resolve'>;
  readonly webhook: WebhookWays;
  readonly openBucket: OpenBucket;
  /** This machine's name. */
  readonly host: string;
}): (row: DestinationRow) => Promise<Deliver> {
  return async ({ name, shown, sealed }) => {
    if (shown.kind === 'syslog') return deliverSyslog(shown, deps.host);
    const secret = await deps.secrets.open(sealed ?? '', destinationPurpose(name), null);
    if (shown.kind === 'webhook') {
      if (!isSigningSecret(secret))
        throw new Error('the secret is none that a webhook is signed with: whsec_…');
      return deliverWebhook(shown, secret, deps.webhook);
    }
    const { accessKeyId: id } = shown;
    const accessKeyId = isReference(id) ? await deps.references.resolve(id) : id;
    return deliverS3({ ...shown, accessKeyId }, secret, deps.openBucket);
  };
}

function described(given: Given): Destination {
  switch (given.kind) {
    case 'syslog': {
      const { kind, host, port, transport, ca } = given;
      return { kind, host, port, transport, ca };
    }
    case 'webhook':
      return { kind: given.kind, url: given.url };
    case 's3': {
      const { kind, bucket, region, endpoint, prefix } = given;
      return { kind, bucket, region, endpoint, prefix, accessKeyId: given.access_key_id };
    }
  }
}

function checkAddress(given: string, objectionTo: (url: URL) => string | null): void {
  const objection = URL.canParse(given) ? objectionTo(new URL(given)) : 'is not a URL';
  if (objection === null) return;
  throw new AppError('invalid', `The address ${objection}.`, {
    errors: [{ path: 'url', message: objection }],
  });
}
