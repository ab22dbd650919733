import type { z } from 'zod';
import type { Clock } from '../../platform/clock.ts';
import { AppError, notFound } from '../../platform/errors.ts';
import type { Secrets } from '../../platform/secret-box.ts';
import { deliverS3, type OpenBucket } from './deliver-s3.ts';
import { deliverSyslog } from './deliver-syslog.ts';
import { deliverWebhook, type WebhookWays } from './deliver-webhook.ts';
import type { Deliver, Destination } from './destination.ts';
import type { destinationBody } from './forwarding.schema.ts';
import type { DestinationRow, ForwardingStore, Lag } from './forwarding.store.ts';

/** What a destination's secret is sealed for. */
export const destinationPurpose = (name: string) => `audit destination:${name}`;

export interface ForwardingDependencies {
  readonly store: ForwardingStore;
  readonly secretBox: Secrets;
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
  secretBox,
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
     * @returns with a webhook's signing secret when it is new: the only time that it is shown.
     * @throws AppError `invalid` for an address that is refused; `conflict` when there are ten already.
     */
    async put(name: string, given: Given): Promise<ShownDestination & { secret: string | null }> {
      const before = await store.find(name);
      if (before === null && (await store.list()).length >= maxDestinations) {
        throw new AppError(
          'conflict',
          `There are ${maxDestinations} destinations already. Remove one first.`,
        );
      }
      const destination = described(given);
      if (destination.kind === 'webhook') checkAddress(destination.url, objectionTo);
      let secret: string | null = null;
      let sealed: string | null = null;
      if (given.kind === 's3') {
        sealed = await secretBox.seal(given.secret_access_key, destinationPurpose(name), null);
      } else if (given.kind === 'webhook') {
        const kept = before?.kind === 'webhook' ? before.sealed : null;
        if (kept === null) secret = newSigningSecret();
        sealed = kept ?? (await secretBox.seal(secret ?? '', destinationPurpose(name), null));
      }
      const { kind } = destination;
      const { enabled, tenants } = given;
      await store.put({ name, kind, enabled, shown: destination, sealed, tenants }, clock.now());
      const row = await store.find(name);
      if (!row) throw notFound('destination');
      return { ...(await shown(row)), secret };
    },

    /** How far it got is forgotten with it. @throws AppError `not_found`. */
    async remove(name: string): Promise<void> {
      if (!(await store.remove(name))) throw notFound('destination');
    },
  };
}

/** Opens the way to a stored destination. */
export function wayToDestination(deps: {
  readonly secretBox: Pick<Secrets, 'open'>;
  readonly webhook: WebhookWays;
  readonly openBucket: OpenBucket;
  /** This machine's name. */
  readonly host: string;
}): (row: DestinationRow) => Promise<Deliver> {
  return async ({ name, shown, sealed }) => {
    if (shown.kind === 'syslog') return deliverSyslog(shown, deps.host);
    const secret = await deps.secretBox.open(sealed ?? '', destinationPurpose(name), null);
    return shown.kind === 's3'
      ? deliverS3(shown, secret, deps.openBucket)
      : deliverWebhook(shown, secret, deps.webhook);
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
