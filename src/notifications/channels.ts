import type { Principal } from '../access/index.ts';
import type { Clock } from '../platform/clock.ts';
import { AppError, notFound } from '../platform/errors.ts';
import { isUuid, type NewId } from '../platform/ids.ts';
import type { Page, PageCursor } from '../platform/page.ts';
import type { Random } from '../platform/random.ts';
import { type GivenSecrets, isReference } from '../platform/secret-references/index.ts';
import type { AddressGuard } from './address-guard.ts';
import { signingPurpose, targetPurpose } from './attempt.ts';
import type { ChannelKind } from './channel.ts';
import type {
  ChannelChange,
  ChannelRow,
  ChannelsStore,
  DeliveryFilter,
  DeliveryRow,
} from './channels.store.ts';
import type { Severity } from './notification-event.ts';
import { rowOf } from './notify.ts';
import { newSigningSecret } from './webhook-message.ts';

/** A channel as a caller describes it. */
export interface GivenChannel {
  readonly name: string;
  readonly kind: ChannelKind;
  /** An address; for PagerDuty the routing key; or a reference to either. */
  readonly target: string;
  /** Of a webhook: `whsec_…` or a reference; absent or null: a new one is made. */
  readonly signingSecret?: string | null;
  readonly eventKinds: readonly string[];
  readonly minSeverity: Severity;
  readonly enabled: boolean;
}

/** What of a channel is changed; what is absent stays. */
export interface GivenChange {
  readonly name: string | undefined;
  readonly url: string | undefined;
  readonly routingKey: string | undefined;
  readonly eventKinds: readonly string[] | undefined;
  readonly minSeverity: Severity | undefined;
  readonly enabled: boolean | undefined;
}

export interface ChannelsDependencies {
  readonly store: ChannelsStore;
  readonly guard: Pick<AddressGuard, 'objectionTo'>;
  readonly secrets: Pick<GivenSecrets, 'seal' | 'refuseForeign'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly newId: NewId;
  readonly random: Pick<Random, 'bytes'>;
}

const maxChannels = 50;

/** Setting up where a tenant is told of its events, and looking after what was sent. */
export function createChannels(deps: ChannelsDependencies) {
  const { store, secrets, clock, newId } = deps;

  const existing = async (principal: Principal, id: string): Promise<ChannelRow> => {
    const row = isUuid(id) ? await store.find(principal, id) : null;
    if (!row) throw notFound('channel');
    return row;
  };
  const giverOf = ({ role, tenantId }: Principal) => ({ isOwner: role === 'owner', tenantId });
  const sealedTarget = async (principal: Principal, id: string, kind: ChannelKind, target: string) => {
    const { tenantId } = principal;
    secrets.refuseForeign(target, kind === 'pagerduty' ? 'routing_key' : 'url', giverOf(principal));
    // Where a reference leads is looked at with each message.
    if (kind !== 'pagerduty' && !isReference(target)) checkAddress(deps.guard, target);
    const sealed = await secrets.seal(target, targetPurpose(tenantId, id), tenantId);
    return { sealed, shown: shownTarget(kind, target) };
  };
  /** @returns with the secret when it was made here: nobody else knows it. */
  const sealedSecret = async (principal: Principal, given: string | null) => {
    const { tenantId } = principal;
    if (given !== null) secrets.refuseForeign(given, 'signing_secret', giverOf(principal));
    const made = given === null ? newSigningSecret(deps.random) : null;
    const value = given ?? made ?? '';
    const id = newId();
    const sealed = await secrets.seal(value, signingPurpose(tenantId, id), tenantId);
    const reference = isReference(value) ? value : null;
    return { secret: made, stored: { id, sealed, reference, created_at: clock.now() } };
  };

  return {
    /**
     * @returns the channel, and a webhook's signing secret when it was made here: the only time that it is shown.
     * @throws AppError `invalid` when nothing may be sent to its address, or a reference is not the caller's to give;
     *   `conflict` on a name that is taken, or when there are 50 already.
     */
    async createChannel(
      principal: Principal,
      given: GivenChannel,
    ): Promise<{ row: ChannelRow; secret: string | null }> {
      const { tenantId } = principal;
      const id = newId();
      const target = await sealedTarget(principal, id, given.kind, given.target);
      const made =
        given.kind === 'webhook' ? await sealedSecret(principal, given.signingSecret ?? null) : null;
      const now = clock.now();
      const row: ChannelRow = {
        id,
        tenant_id: tenantId,
        name: given.name,
        kind: given.kind,
        shown_target: target.shown,
        signing_secret_reference: made?.stored.reference ?? null,
        event_kinds: given.eventKinds,
        min_severity: given.minSeverity,
        enabled: given.enabled,
        disabled_reason: null,
        created_by: `key:${principal.keyId}`,
        created_at: now,
        updated_at: now,
      };
      await store.insert(
        principal,
        { ...row, sealed_target: target.sealed },
        made?.stored ?? null,
        maxChannels,
      );
      return { row, secret: made?.secret ?? null };
    },

    channels: (principal: Principal, page: Page<PageCursor>): Promise<ChannelRow[]> =>
      store.list(principal, page),
    /** @throws AppError `not_found`. */
    channel: existing,

    /**
     * @throws AppError `not_found`; `invalid` when the address is refused or does not belong to the kind; `conflict` on a
     *   name that is taken.
     */
    async changeChannel(principal: Principal, id: string, given: GivenChange): Promise<ChannelRow> {
      const { kind } = await existing(principal, id);
      const [own, other] =
        kind === 'pagerduty' ? (['routing_key', 'url'] as const) : (['url', 'routing_key'] as const);
      const targets = { url: given.url, routing_key: given.routingKey };
      if (targets[other] !== undefined) throw refusal(other, `does not belong to a channel of kind ${kind}`);
      const target = targets[own];
      const change: ChannelChange = {
        ...(given.name === undefined ? {} : { name: given.name }),
        ...(given.eventKinds === undefined ? {} : { event_kinds: given.eventKinds }),
        ...(given.minSeverity === undefined ? {} : { min_severity: given.minSeverity }),
        ...(given.enabled === undefined ? {} : { enabled: given.enabled }),
        ...(target === undefined ? {} : { target: await sealedTarget(principal, id, kind, target) }),
      };
      const row = await store.change(principal, id, change, clock.now());
      if (!row) throw notFound('channel');
      return row;
    },

    /** Its deliveries go with it. @throws AppError `not_found`. */
    async deleteChannel(principal: Principal, id: string): Promise<void> {
      if (!isUuid(id) || !(await store.remove(principal, id))) throw notFound('channel');
    },

    /**
     * Gives a webhook a new signing secret; for a while messages are signed with the one before as well.
     * @param given `whsec_…` or a reference; null: one is made.
     * @returns the secret when it was made here, else null.
     * @throws AppError `not_found`; `invalid` when it is no webhook.
     */
    async replaceSecret(
      principal: Principal,
      id: string,
      graceSeconds: number,
      given: string | null = null,
    ): Promise<{ secret: string | null; previousValidUntil: Date }> {
      const row = await existing(principal, id);
      if (row.kind !== 'webhook') {
        throw new AppError('invalid', `Messages to a channel of kind ${row.kind} are not signed.`);
      }
      const { secret, stored } = await sealedSecret(principal, given);
      const previousValidUntil = new Date(clock.now().getTime() + graceSeconds * 1_000);
      await store.replaceSecret(principal, row, stored, previousValidUntil);
      return { secret, previousValidUntil };
    },

    /**
     * Queues a message that says that it is a test, whatever kinds of events the channel wants.
     * @throws AppError `not_found`; `conflict` when the channel is switched off.
     */
    async testChannel(principal: Principal, id: string): Promise<DeliveryRow> {
      const channel = await existing(principal, id);
      if (!channel.enabled) throw channelOff();
      const now = clock.now();
      const eventId = newId();
      const event = rowOf(
        {
          kind: 'notification.test',
          severity: 'info',
          dedupeKey: `test:${eventId}`,
          title: 'Test from Gatehouse',
          text: `The channel "${channel.name}" works. Nothing happened, and there is nothing to do.`,
          occurredAt: now,
          subject: `channel:${id}`,
          data: { channel: channel.name },
        },
        { id: eventId, tenantId: principal.tenantId, resolves: null, now },
      );
      const delivery = await store.tell(principal, event, id, newId());
      if (!delivery) throw notFound('channel');
      return delivery;
    },

    deliveries: (
      principal: Principal,
      filter: DeliveryFilter,
      page: Page<PageCursor>,
    ): Promise<DeliveryRow[]> => store.deliveries(principal, filter, page),

    /**
     * Sends what was delivered or given up once more, under the same id.
     * @throws AppError `not_found`; `conflict` when it is on its way, or its channel is switched off.
     */
    async redeliver(principal: Principal, id: string): Promise<DeliveryRow> {
      const outcome = isUuid(id) ? await store.redeliver(principal, id) : 'absent';
      if (outcome === 'absent') throw notFound('delivery');
      if (outcome === 'channel off') throw channelOff();
      if (outcome === 'open') {
        throw new AppError(
          'conflict',
          'This delivery is on its way: it is tried until it arrives or a day is over.',
        );
      }
      return outcome;
    },
  };
}

function checkAddress(guard: Pick<AddressGuard, 'objectionTo'>, target: string): void {
  const objection = URL.canParse(target)
    ? guard.objectionTo(new URL(target))
    : 'must be a URL that starts with https://';
  if (objection !== null) throw refusal('url', objection);
}

function refusal(path: string, message: string): AppError {
  return new AppError('invalid', `${path} ${message}.`, { errors: [{ path, message }] });
}

function channelOff(): AppError {
  return new AppError(
    'conflict',
    'The channel is switched off. Switch it on first: PATCH it with {"enabled": true}.',
  );
}

/** Slack's addresses are secrets as a whole, and of others the query may be one. */
function shownTarget(kind: ChannelKind, target: string): string {
  if (isReference(target)) return target;
  if (kind === 'pagerduty') return `…${target.slice(-4)}`;
  const { origin, pathname, search } = new URL(target);
  return kind === 'slack' ? `${origin}/…` : `${origin}${pathname}${search === '' ? '' : '?…'}`;
}
