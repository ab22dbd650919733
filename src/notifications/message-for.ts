import type { OpenChannel, OutgoingMessage, Teller, ToldEvent } from './outgoing-message.ts';
import { pagerDutyMessage } from './pagerduty-message.ts';
import { slackMessage } from './slack-message.ts';
import { webhookMessage } from './webhook-message.ts';

/** @returns the event in the form that the channel takes. */
export function messageFor(
  channel: OpenChannel,
  event: ToldEvent,
  teller: Teller,
  now: Date,
): OutgoingMessage {
  switch (channel.kind) {
    case 'webhook':
      return webhookMessage(event, channel.target, channel.signingSecrets, now);
    case 'slack':
      return slackMessage(event, channel.target);
    case 'pagerduty':
      return pagerDutyMessage(event, channel.target, teller);
  }
}
