import type { ChannelKind } from './channel.ts';
import type { EventRow } from './events.store.ts';

/** What is told, to whichever channel. */
export type ToldEvent = Omit<EventRow, 'dedupe_key' | 'created_at'>;

/** Who is telling. */
export interface Teller {
  /** Where people find this installation; null when nobody said. */
  readonly publicUrl: string | null;
  /** Where PagerDuty takes events. */
  readonly pagerDutyUrl: string;
}

/** A channel with its secrets opened, for the length of one try. */
export interface OpenChannel {
  readonly kind: ChannelKind;
  /** The address; for PagerDuty the routing key. */
  readonly target: string;
  /** Of a webhook, those that are valid now, the current one first. */
  readonly signingSecrets: readonly string[];
}

/** One HTTP request: always a POST of JSON. */
export interface OutgoingMessage {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}
