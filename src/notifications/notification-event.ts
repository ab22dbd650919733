import type { Tx } from '../platform/database/database.ts';

/** From the least to the most urgent. */
export const severities = ['info', 'warning', 'critical'] as const;
export type Severity = (typeof severities)[number];

/** What can be told in JSON. */
export type Told = string | number | boolean | null | readonly Told[] | { readonly [name: string]: Told };

/** Something that people want to be told of. */
export interface NotificationEvent {
  /** Lower-case words with dots between them, from the general to the particular: `cost.alert.threshold`. */
  readonly kind: string;
  readonly severity: Severity;
  /** Of one tenant, an event with the same key is told once; at most 300 characters. */
  readonly dedupeKey: string;
  /** One line for people; cut after 200 characters. */
  readonly title: string;
  /** What happened and what can be done, for people; cut after 4,000 characters. */
  readonly text: string;
  readonly occurredAt: Date;
  /** What it is about, such as `budget:<id>`; at most 300 characters. */
  readonly subject: string;
  /** The facts, for programs: at most 16 KiB as JSON, money as decimal strings, no secrets. */
  readonly data: { readonly [name: string]: Told };
  /**
   * The dedupe key of the event that is settled by this one, as by an acknowledgement: this one goes to the channels that
   * the other one went to, and closes what it opened there (PagerDuty's incident).
   */
  readonly resolves?: string;
}

/**
 * Tells a tenant's channels of an event, once: the event and one delivery for each channel that wants it are written in
 * the caller's transaction, so they exist if and only if what they tell of does. Sending is done after it by itself.
 * @param tx any transaction that may write for the tenant: of `inTenant`, or of the platform.
 * @returns whether it is news; false when the tenant had an event with this dedupe key.
 * @throws Error when the event is out of the bounds stated with its members: that is a fault of the program.
 */
export type Notify = (tx: Tx, tenantId: string, event: NotificationEvent) => Promise<boolean>;
