import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSimulator } from '../tools/simulator/server.ts';
import { until } from './harness/child.ts';
import { answerWith, type Receiver, startReceiver } from './harness/receiver.ts';
import { call, type RunningServer, removeDirectory, startServer } from './harness/server.ts';

/* An administrator sets channels up, and the people behind them hear of what happens, with the check of the documentation. */

const simulator = createSimulator({ seed: 3, answerTokens: 100, cachedTokens: 0 });
let receiver: Receiver;
let server: RunningServer;
let isGenuine: (secret: string, headers: unknown, body: string) => boolean;
const keys: Record<string, string> = {};

const channels = '/api/v1/notifications/channels';
const as = (who: string, method: string, path: string, body?: unknown) =>
  call(server.url, keys[who] ?? '', method, path, body);
const receivedOn = (path: string) => receiver.messages.filter((message) => message.path === path);
const delivered = (id: string) =>
  until(async () => {
    const { json } = await as('north', 'GET', '/api/v1/notifications/deliveries?state=delivered');
    return json.deliveries.find((delivery: any) => delivery.id === id);
  });

beforeAll(async () => {
  const documentation = await readFile('docs/notifications.md', 'utf8');
  const code = /<!-- verify -->\n```js\n([\s\S]*?)```/.exec(documentation)?.[1] ?? '';
  ({ isGenuine } = await import(`data:text/javascript,${encodeURIComponent(code)}`));
  receiver = await startReceiver();
  server = await startServer({
    env: {
      GATEHOUSE_NOTIFY_ALLOW: '127.0.0.1',
      GATEHOUSE_PAGERDUTY_URL: `${receiver.url}/v2/enqueue`,
    },
  });
  for (const slug of ['north', 'south']) {
    await server.call('POST', '/api/v1/tenants', { name: slug, slug, tier: 'starter', region: 'eu' });
    const key = await server.call(
      'POST',
      '/api/v1/keys',
      { name: slug, role: 'admin' },
      { 'x-tenant-id': slug },
    );
    keys[slug] = key.json.key;
  }
});
afterAll(async () => {
  await server.stop();
  await receiver.stop();
  await simulator.stop();
  await removeDirectory(server.dataDir);
});

describe('an administrator', () => {
  it('sets a webhook up, tests it, and checks the signature as the documentation says', async () => {
    const made = await as('north', 'POST', channels, {
      kind: 'webhook',
      name: 'billing',
      url: `${receiver.url}/billing?token=hidden`,
      event_kinds: ['cost.*'],
    });
    expect(made.status).toBe(201);
    expect(made.json).toMatchObject({ kind: 'webhook', enabled: true, min_severity: 'info' });
    const { id, signing_secret: secret } = made.json;
    const queued = await as('north', 'POST', `${channels}/${id}/test`);
    expect(queued.status).toBe(202);
    const delivery = await delivered(queued.json.id);
    expect(delivery).toMatchObject({ attempts: 1, last_status: 200, event: { kind: 'notification.test' } });
    const [message] = receivedOn('/billing?token=hidden');
    expect(message?.headers['webhook-id']).toBe(delivery.event.id);
    expect(isGenuine(secret, message?.headers, message?.body ?? '')).toBe(true);
    expect(isGenuine(secret, message?.headers, `${message?.body} `)).toBe(false);
    expect(
      isGenuine(secret, { ...message?.headers, 'webhook-timestamp': '1600000000' }, message?.body ?? ''),
    ).toBe(false);

    const replaced = await as('north', 'POST', `${channels}/${id}/secret`, {});
    expect(replaced.status).toBe(201);
    expect(replaced.json.signing_secret).not.toBe(secret);
    expect(
      (await as('north', 'POST', `/api/v1/notifications/deliveries/${delivery.id}/redeliver`)).status,
    ).toBe(202);
    await until(async () => receivedOn('/billing?token=hidden').length === 2);
    const [, again] = receivedOn('/billing?token=hidden');
    expect(again?.headers['webhook-id']).toBe(delivery.event.id);
    for (const valid of [secret, replaced.json.signing_secret]) {
      expect(isGenuine(valid, again?.headers, again?.body ?? '')).toBe(true);
    }
  });

  it('sets Slack and PagerDuty up', async () => {
    for (const body of [
      { kind: 'slack', name: '#costs', url: `${receiver.url}/services/hidden` },
      { kind: 'pagerduty', name: 'on call', routing_key: `hidden${'0'.repeat(26)}` },
    ]) {
      const made = await as('north', 'POST', channels, body);
      expect(made.json).toMatchObject({ kind: body.kind, signing_secret: null });
      const queued = await as('north', 'POST', `${channels}/${made.json.id}/test`);
      await delivered(queued.json.id);
    }
    expect(receivedOn('/services/hidden')[0]?.json.text).toContain('Test from Gatehouse');
    expect(receivedOn('/v2/enqueue')[0]?.json).toMatchObject({
      event_action: 'trigger',
      routing_key: `hidden${'0'.repeat(26)}`,
      payload: { source: 'gatehouse', severity: 'info' },
    });
  });

  it('sees no secret in any list, and neither does the log', async () => {
    const list = await as('north', 'GET', channels);
    expect(list.json.channels).toHaveLength(3);
    expect(list.text).not.toMatch(/hidden|whsec_/);
    expect(list.json.channels.map(({ target }: any) => target)).toEqual([
      '…0000',
      `${receiver.url}/…`,
      `${receiver.url}/billing?…`,
    ]);
    const { stdout, stderr } = server.output();
    expect(stdout + stderr).not.toMatch(/hidden|whsec_/);
  });

  it('pages through deliveries, by channel and state and kind', async () => {
    const path = '/api/v1/notifications/deliveries';
    const first = await as('north', 'GET', `${path}?limit=2`);
    expect(first.json.deliveries).toHaveLength(2);
    const second = await as('north', 'GET', `${path}?limit=2&cursor=${first.json.next_cursor}`);
    expect(second.json).toMatchObject({ deliveries: [{ state: 'delivered' }], next_cursor: null });
    const { channel_id } = second.json.deliveries[0];
    expect((await as('north', 'GET', `${path}?channel_id=${channel_id}`)).json.deliveries).toHaveLength(1);
    expect((await as('north', 'GET', `${path}?state=dead`)).json.deliveries).toEqual([]);
    expect((await as('north', 'GET', `${path}?event_kind=notification.test`)).json.deliveries).toHaveLength(
      3,
    );
    expect((await as('north', 'GET', `${path}?state=lost`)).status).toBe(422);
    expect((await as('north', 'GET', `${path}?channel_id=1`)).status).toBe(422);
  });

  it('is told what is wrong with what was given', async () => {
    const webhook = { kind: 'webhook', name: 'wrong', url: 'https://hooks.example.com/' };
    for (const [body, path] of [
      [{ ...webhook, url: 'http://hooks.example.com/' }, 'url'],
      [{ ...webhook, url: 'https://10.0.0.1/' }, 'url'],
      [{ ...webhook, url: 'https://[::1]/' }, 'url'],
      [{ ...webhook, url: 'https://127.0.0.2/' }, 'url'],
      [{ ...webhook, url: 'https://a:b@hooks.example.com/' }, 'url'],
      [{ ...webhook, url: 'hooks.example.com' }, 'url'],
      [{ ...webhook, name: ' ' }, 'name'],
      [{ ...webhook, event_kinds: ['Cost'] }, 'event_kinds'],
      [{ ...webhook, event_kinds: ['*'] }, 'event_kinds'],
      [{ ...webhook, min_severity: 'loud' }, 'min_severity'],
      [{ kind: 'pagerduty', name: 'wrong', routing_key: 'short' }, 'routing_key'],
      [{ kind: 'pagerduty', name: 'wrong' }, 'routing_key'],
      [{ kind: 'carrier pigeon', name: 'wrong' }, 'kind'],
      [{ ...webhook, minimum_severity: 'critical' }, 'body'],
      [{ kind: 'pagerduty', name: 'wrong', routing_key: 'a'.repeat(32), url: webhook.url }, 'body'],
    ] as const) {
      const reply = await as('north', 'POST', channels, body);
      expect([path, reply.status]).toEqual([path, 422]);
      expect(reply.json.errors[0].path).toContain(path);
    }
    const taken = await as('north', 'POST', channels, { ...webhook, name: 'billing' });
    expect(taken.status).toBe(409);
    expect((await as('north', 'GET', `${channels}/absent`)).status).toBe(404);
    expect((await as('north', 'GET', channels)).json.channels).toHaveLength(3);
  });

  it('of another tenant sees and hears nothing of it', async () => {
    const [{ id }] = (await as('north', 'GET', channels)).json.channels;
    const [delivery] = (await as('north', 'GET', '/api/v1/notifications/deliveries')).json.deliveries;
    expect((await as('south', 'GET', channels)).json.channels).toEqual([]);
    expect((await as('south', 'GET', '/api/v1/notifications/deliveries')).json.deliveries).toEqual([]);
    for (const [method, path, body] of [
      ['GET', `${channels}/${id}`],
      ['PATCH', `${channels}/${id}`, { name: 'mine' }],
      ['DELETE', `${channels}/${id}`],
      ['POST', `${channels}/${id}/secret`, {}],
      ['POST', `${channels}/${id}/test`],
      ['POST', `/api/v1/notifications/deliveries/${delivery.id}/redeliver`],
    ] as const) {
      const reply = await as('south', method, path, body);
      expect([method, path, reply.status]).toEqual([method, path, 404]);
    }
  });

  it('finds a channel switched off with the reason when its receiver is gone, and switches it on again', async () => {
    const made = await as('north', 'POST', channels, {
      kind: 'webhook',
      name: 'gone',
      url: `${receiver.url}/gone`,
    });
    receiver.answer('/gone', answerWith(410));
    await as('north', 'POST', `${channels}/${made.json.id}/test`);
    const off = await until(async () => {
      const { json } = await as('north', 'GET', `${channels}/${made.json.id}`);
      return !json.enabled && json;
    });
    expect(off.disabled_reason).toContain('410');
    expect((await as('north', 'POST', `${channels}/${made.json.id}/test`)).status).toBe(409);
    const on = await as('north', 'PATCH', `${channels}/${made.json.id}`, { enabled: true });
    expect(on.json).toMatchObject({ enabled: true, disabled_reason: null });
    expect((await as('north', 'DELETE', `${channels}/${made.json.id}`)).status).toBe(204);
    expect((await as('north', 'GET', `${channels}/${made.json.id}`)).status).toBe(404);
  });
});

describe('an alert about costs', () => {
  it('reaches the webhook and the pager, once, and is settled there when somebody acknowledges it', async () => {
    const { url } = await simulator.start();
    await server.call('POST', '/api/v1/providers', { name: 'sim', kind: 'openai', base_url: `${url}/v1` });
    const webhook = await as('south', 'POST', channels, {
      kind: 'webhook',
      name: 'billing',
      url: `${receiver.url}/south`,
      event_kinds: ['cost.alert.threshold', 'cost.alert.acknowledged'],
    });
    const pager = {
      kind: 'pagerduty',
      name: 'on call',
      routing_key: 's'.repeat(32),
      min_severity: 'critical',
    };
    await as('south', 'POST', channels, pager);
    const budget = { scope: 'tenant', period: 'month', limit_usd: '0.0001', alert_threshold_percent: 80 };
    const { json: made } = await as('south', 'POST', '/api/v1/costs/budget', budget);

    const chat = { model: 'sim/gpt-4o', messages: [{ role: 'user', content: 'Tell me of the sea' }] };
    expect((await as('south', 'POST', '/v1/chat/completions', chat)).status).toBe(200);
    const [message] = await until(async () => receivedOn('/south').length > 0 && receivedOn('/south'));
    expect(isGenuine(webhook.json.signing_secret, message?.headers, message?.body ?? '')).toBe(true);
    expect(message?.json).toMatchObject({
      type: 'cost.alert.threshold',
      data: { severity: 'critical', subject: `budget:${made.id}`, details: { limit_usd: '0.000100000' } },
    });
    const paged = () => receivedOn('/v2/enqueue').filter(({ json }) => json.routing_key === 's'.repeat(32));
    await until(async () => paged().length === 1);

    const { json } = await as('south', 'GET', '/api/v1/costs/alerts');
    const alert = json.alerts.find((each: any) => each.subject === `budget:${made.id}`);
    expect((await as('south', 'POST', `/api/v1/costs/alerts/${alert.id}/acknowledge`)).status).toBe(200);
    await until(async () => receivedOn('/south').length === 2 && paged().length === 2);
    expect(receivedOn('/south')[1]?.json).toMatchObject({
      type: 'cost.alert.acknowledged',
      data: { resolves: message?.json.id },
    });
    expect(paged().map((each) => [each.json.event_action, each.json.dedup_key])).toEqual([
      ['trigger', message?.json.id],
      ['resolve', message?.json.id],
    ]);
  });
});

describe('a server that is killed', () => {
  it('sends after its next start what it had promised', async () => {
    const made = await as('north', 'POST', channels, {
      kind: 'webhook',
      name: 'later',
      url: `${receiver.url}/later`,
    });
    receiver.answer('/later', answerWith(500));
    const queued = await as('north', 'POST', `${channels}/${made.json.id}/test`);
    await until(async () => {
      const { json } = await as('north', 'GET', '/api/v1/notifications/deliveries?state=failed');
      return json.deliveries.some((delivery: any) => delivery.id === queued.json.id);
    });
    await server.kill9();
    receiver.answer('/later', answerWith(200));
    server = await startServer({
      dataDir: server.dataDir,
      env: { GATEHOUSE_NOTIFY_ALLOW: '127.0.0.1' },
    });
    await delivered(queued.json.id);
    const ids = receivedOn('/later').map(({ headers }) => headers['webhook-id']);
    expect(new Set(ids).size).toBe(1);
  }, 120_000);
});
