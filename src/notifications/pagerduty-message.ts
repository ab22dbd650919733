import type { OutgoingMessage, Teller, ToldEvent } from './outgoing-message.ts';

/**
 * The event as PagerDuty's Events API v2 takes it
 * (https://developer.pagerduty.com/docs/events-api-v2-overview): it opens an incident under its own id, and one that settles
 * another closes that other's. PagerDuty takes 512 KB, and 1,024 characters of summary; both are far above what an event may
 * hold.
 */
export function pagerDutyMessage(event: ToldEvent, routingKey: string, teller: Teller): OutgoingMessage {
  const { publicUrl, pagerDutyUrl } = teller;
  const request =
    event.resolves === null
      ? {
          routing_key: routingKey,
          event_action: 'trigger',
          dedup_key: event.id,
          payload: {
            summary: event.title,
            severity: event.severity,
            source: publicUrl === null ? 'gatehouse' : new URL(publicUrl).host,
            timestamp: event.occurred_at.toISOString(),
            component: event.subject,
            class: event.kind,
            custom_details: { ...event.data, text: event.text, tenant_id: event.tenant_id },
          },
          client: 'Gatehouse',
          ...(publicUrl === null ? {} : { client_url: publicUrl }),
        }
      : { routing_key: routingKey, event_action: 'resolve', dedup_key: event.resolves };
  return { url: pagerDutyUrl, headers: {}, body: JSON.stringify(request) };
}
