import type { NotificationEvent, Severity } from './notification-event.ts';
import { severities } from './notification-event.ts';

export const channelKinds = ['webhook', 'slack', 'pagerduty'] as const;
export type ChannelKind = (typeof channelKinds)[number];

/** Of which events a channel wants to be told. */
export interface Wishes {
  /** Kinds, or `<beginning>.*` for all that begin so; none means all. */
  readonly eventKinds: readonly string[];
  readonly minSeverity: Severity;
}

/** Whether a channel of these wishes is told of the event. */
export function wants(wishes: Wishes, event: Pick<NotificationEvent, 'kind' | 'severity'>): boolean {
  if (severities.indexOf(event.severity) < severities.indexOf(wishes.minSeverity)) return false;
  return wishes.eventKinds.length === 0 || wishes.eventKinds.some((wish) => covers(wish, event.kind));
}

function covers(wish: string, kind: string): boolean {
  return wish.endsWith('.*') ? kind.startsWith(wish.slice(0, -1)) : wish === kind;
}
