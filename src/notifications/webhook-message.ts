import { createHmac } from 'node:crypto';
import type { Random } from '../platform/random.ts';
import type { OutgoingMessage, ToldEvent } from './outgoing-message.ts';

const secretPrefix = 'whsec_';
/** Standard Webhooks asks for 24 to 64 bytes. */
const secretBytes = 32;

/** A new signing secret in the form that receivers' libraries take. */
export function newSigningSecret(random: Pick<Random, 'bytes'>): string {
  return secretPrefix + random.bytes(secretBytes).toString('base64');
}

/** Whether receivers' libraries would take it. */
export function isSigningSecret(text: string): boolean {
  if (!/^whsec_[A-Za-z0-9+/]+={0,2}$/.test(text)) return false;
  const { length } = Buffer.from(text.slice(secretPrefix.length), 'base64');
  return length >= 24 && length <= 64;
}

/**
 * The event as Standard Webhooks has it (https://www.standardwebhooks.com): `webhook-id` is the event's id and the same at
 * each try, `webhook-timestamp` the time of the try, `webhook-signature` an HMAC-SHA-256 of both and the body by each secret
 * that is valid now.
 */
export function webhookMessage(
  event: ToldEvent,
  url: string,
  signingSecrets: readonly string[],
  now: Date,
): OutgoingMessage {
  const body = JSON.stringify({
    id: event.id,
    type: event.kind,
    timestamp: event.occurred_at.toISOString(),
    tenant_id: event.tenant_id,
    data: {
      severity: event.severity,
      title: event.title,
      text: event.text,
      subject: event.subject,
      resolves: event.resolves,
      details: event.data,
    },
  });
  return { url, headers: signedHeaders(event.id, body, signingSecrets, now), body };
}

/** The headers of Standard Webhooks for any body, signed by each of the secrets. */
export function signedHeaders(
  id: string,
  body: string,
  signingSecrets: readonly string[],
  now: Date,
): Record<string, string> {
  const timestamp = String(Math.floor(now.getTime() / 1_000));
  const signature = signingSecrets
    .map((secret) => `v1,${signatureOf(secret, `${id}.${timestamp}.${body}`)}`)
    .join(' ');
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature };
}

function signatureOf(secret: string, content: string): string {
  const key = Buffer.from(secret.slice(secretPrefix.length), 'base64');
  return createHmac('sha256', key).update(content).digest('base64');
}
