import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { isSignedWith } from '../../test/harness/receiver.ts';
import { systemRandom } from '../platform/random.ts';
import { messageFor } from './message-for.ts';
import { severities } from './notification-event.ts';
import { rowOf } from './notify.ts';
import type { OutgoingMessage, ToldEvent } from './outgoing-message.ts';
import { newSigningSecret } from './webhook-message.ts';

const teller = { publicUrl: null, pagerDutyUrl: 'https://events.pagerduty.com/v2/enqueue' };
const now = new Date();

const event: ToldEvent = {
  id: '019abc00-0000-7000-8000-000000000001',
  tenant_id: '019abc00-0000-7000-8000-000000000002',
  kind: 'cost.alert.threshold',
  severity: 'critical',
  title: 'Budget at 80 %',
  text: 'The budget of the tenant is spent to 80 %. <https://evil.test|click> & <!channel>',
  subject: 'budget:1',
  data: { spent_usd: '80.000000000', percent: 80, scope: { kind: 'tenant' } },
  resolves: null,
  occurred_at: new Date('2026-11-21T08:00:00.123Z'),
};

/** Any event that `notify` lets through, with characters of every kind. */
const text = (maxLength: number) => fc.string({ unit: 'binary', maxLength });
const anyEvent: fc.Arbitrary<ToldEvent> = fc
  .record({
    severity: fc.constantFrom(...severities),
    title: fc.oneof(text(300), fc.string({ unit: fc.constantFrom('&', '<', 'é', '😀'), maxLength: 300 })),
    text: fc.oneof(
      text(6_000),
      fc.string({ unit: fc.constantFrom('&', '<', 'x'), minLength: 900, maxLength: 6_000 }),
    ),
    data: fc.dictionary(text(60), fc.oneof(text(500), fc.double(), fc.boolean(), fc.constant(null)), {
      maxKeys: 12,
    }),
    settles: fc.boolean(),
  })
  .map(({ settles, title, ...given }) => {
    const {
      dedupe_key: _key,
      created_at: _at,
      ...told
    } = rowOf(
      {
        ...given,
        kind: event.kind,
        dedupeKey: 'k',
        title: `t${title}`,
        subject: event.subject,
        occurredAt: event.occurred_at,
      },
      { id: event.id, tenantId: event.tenant_id, resolves: settles ? event.tenant_id : null, now },
    );
    return told;
  });

describe('a webhook', () => {
  const headersOf = ({ headers }: OutgoingMessage) => ({ ...headers });
  const received = (message: OutgoingMessage) => ({
    path: '/',
    method: 'POST',
    headers: headersOf(message),
    body: message.body,
    json: null,
  });

  it('is signed as its receivers’ libraries check it, by each valid secret', () => {
    fc.assert(
      fc.property(anyEvent, (any) => {
        const [current, before, foreign] = [0, 1, 2].map(() => newSigningSecret(systemRandom));
        const channel = {
          kind: 'webhook' as const,
          target: 'https://a.test/',
          signingSecrets: [current ?? '', before ?? ''],
        };
        const message = messageFor(channel, any, teller, now);
        for (const secret of channel.signingSecrets) {
          expect(isSignedWith(secret, received(message))).toBe(true);
          expect(new Webhook(secret).verify(message.body, headersOf(message))).toMatchObject({ id: any.id });
        }
        expect(isSignedWith(foreign ?? '', received(message))).toBe(false);
        expect(() => new Webhook(foreign ?? '').verify(message.body, headersOf(message))).toThrow();
        const changed = { ...received(message), body: message.body.replace('"id"', '"iD"') };
        expect(isSignedWith(channel.signingSecrets[0] ?? '', changed)).toBe(false);
      }),
      { numRuns: 50 },
    );
  });

  it('has secrets of 32 random bytes, no two alike', () => {
    const secrets = Array.from({ length: 50 }, () => newSigningSecret(systemRandom));
    expect(new Set(secrets).size).toBe(50);
    for (const secret of secrets) {
      expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
      expect(Buffer.from(secret.slice(6), 'base64')).toHaveLength(32);
    }
  });

  it('has the payload that is documented', () => {
    const channel = {
      kind: 'webhook' as const,
      target: 'https://a.test/x',
      signingSecrets: [newSigningSecret(systemRandom)],
    };
    const message = messageFor(channel, event, teller, now);
    expect(message.url).toBe('https://a.test/x');
    expect(message.headers['webhook-id']).toBe(event.id);
    expect(JSON.parse(message.body)).toEqual({
      id: event.id,
      type: 'cost.alert.threshold',
      timestamp: '2026-11-21T08:00:00.123Z',
      tenant_id: event.tenant_id,
      data: {
        severity: 'critical',
        title: event.title,
        text: event.text,
        subject: 'budget:1',
        resolves: null,
        details: event.data,
      },
    });
  });
});

describe('a message to Slack', () => {
  const channel = {
    kind: 'slack' as const,
    target: 'https://hooks.slack.com/services/T0/B0/x',
    signingSecrets: [],
  };
  const mrkdwn = (most: number) =>
    z.strictObject({ type: z.literal('mrkdwn'), text: z.string().min(1).max(most) });
  /** https://docs.slack.dev/reference/block-kit/blocks: what each block must hold, and how much. */
  const block = z.discriminatedUnion('type', [
    z.strictObject({
      type: z.literal('header'),
      text: z.strictObject({
        type: z.literal('plain_text'),
        text: z.string().min(1).max(150),
        emoji: z.boolean().optional(),
      }),
    }),
    z
      .strictObject({
        type: z.literal('section'),
        text: mrkdwn(3_000).optional(),
        fields: z.array(mrkdwn(2_000)).min(1).max(10).optional(),
      })
      .refine(({ text: words, fields }) => words !== undefined || fields !== undefined),
    z.strictObject({ type: z.literal('context'), elements: z.array(mrkdwn(3_000)).min(1).max(10) }),
  ]);
  const payload = z.strictObject({
    text: z.string().min(1).max(4_000),
    blocks: z.array(block).min(1).max(50),
  });

  it('is within what Slack takes, whatever happened', () => {
    fc.assert(
      fc.property(anyEvent, (any) => {
        const { body } = messageFor(channel, any, teller, now);
        const parsed = payload.parse(JSON.parse(body));
        const blocks = JSON.stringify(parsed.blocks);
        expect(blocks.length).toBeLessThan(13_000);
        // Nothing of the event is a link, a mention or half a character.
        expect(`${parsed.text} ${parsed.blocks.flatMap(textsOf).join(' ')}`).not.toMatch(
          /[<>]|&(?!amp;|lt;|gt;)/,
        );
      }),
    );
  });

  it('says what happened, with the facts beside it', () => {
    const parsed = payload.parse(JSON.parse(messageFor(channel, event, teller, now).body));
    expect(parsed.text).toBe(':rotating_light: Budget at 80 %');
    expect(parsed.blocks).toMatchObject([
      { type: 'header', text: { text: 'Budget at 80 %' } },
      { text: { text: expect.stringContaining('&lt;https://evil.test|click&gt; &amp; &lt;!channel&gt;') } },
      {
        fields: [
          { text: '*spent usd*\n80.000000000' },
          { text: '*percent*\n80' },
          { text: '*scope*\n{"kind":"tenant"}' },
        ],
      },
      { elements: [{ text: ':rotating_light: critical · cost.alert.threshold · 2026-11-21T08:00:00.123Z' }] },
    ]);
  });

  function textsOf(of: z.infer<typeof block>): string[] {
    // A header is plain text: nothing in it is a command.
    if (of.type === 'header') return [];
    if (of.type === 'context') return of.elements.map((element) => element.text);
    return [...(of.text ? [of.text.text] : []), ...(of.fields ?? []).map((field) => field.text)];
  }
});

describe('a message to PagerDuty', () => {
  const channel = { kind: 'pagerduty' as const, target: 'a'.repeat(32), signingSecrets: [] };
  /** The request body of https://events.pagerduty.com/v2/enqueue as PagerDuty publishes it. */
  const payload = z.discriminatedUnion('event_action', [
    z.strictObject({
      routing_key: z.string().length(32),
      event_action: z.literal('trigger'),
      dedup_key: z.string().min(1).max(255),
      payload: z.strictObject({
        summary: z.string().min(1).max(1_024),
        source: z.string().min(1),
        severity: z.enum(['critical', 'error', 'warning', 'info']),
        timestamp: z.iso.datetime(),
        component: z.string(),
        class: z.string(),
        custom_details: z.record(z.string(), z.unknown()),
      }),
      client: z.string(),
      client_url: z.url().optional(),
    }),
    z.strictObject({
      routing_key: z.string().length(32),
      event_action: z.literal('resolve'),
      dedup_key: z.string().min(1).max(255),
    }),
  ]);

  it('is within what PagerDuty takes, whatever happened', () => {
    fc.assert(
      fc.property(anyEvent, fc.constantFrom(null, 'https://models.example.com'), (any, publicUrl) => {
        const { url, body } = messageFor(channel, any, { ...teller, publicUrl }, now);
        expect(url).toBe(teller.pagerDutyUrl);
        expect(Buffer.byteLength(body)).toBeLessThan(512 * 1024);
        const parsed = payload.parse(JSON.parse(body));
        expect(parsed.event_action).toBe(any.resolves === null ? 'trigger' : 'resolve');
        expect(parsed.dedup_key).toBe(any.resolves ?? any.id);
      }),
    );
  });

  it('opens an incident, and one that settles it closes the same', () => {
    const opening = messageFor(
      channel,
      event,
      { ...teller, publicUrl: 'https://models.example.com:8443/x' },
      now,
    );
    expect(JSON.parse(opening.body)).toMatchObject({
      event_action: 'trigger',
      dedup_key: event.id,
      payload: {
        summary: 'Budget at 80 %',
        source: 'models.example.com:8443',
        severity: 'critical',
        timestamp: '2026-11-21T08:00:00.123Z',
        custom_details: { spent_usd: '80.000000000', text: event.text },
      },
      client_url: 'https://models.example.com:8443/x',
    });
    const closing = messageFor(channel, { ...event, id: event.tenant_id, resolves: event.id }, teller, now);
    expect(JSON.parse(closing.body)).toEqual({
      routing_key: 'a'.repeat(32),
      event_action: 'resolve',
      dedup_key: event.id,
    });
  });
});
