import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { until } from '../../test/harness/child.ts';
import { notifierSuite } from '../../test/harness/notifier.ts';
import { answerWith, isSignedWith } from '../../test/harness/receiver.ts';
import { systemClock } from '../platform/clock.ts';
import { createLog } from '../platform/log.ts';
import { createSecretReferences } from '../platform/secret-references/index.ts';

/** Secrets that are kept elsewhere, as an instance reads them. */
function keptElsewhere(variables: ReadonlyMap<string, string>) {
  return createSecretReferences({
    variables,
    directories: [],
    vault: null,
    clock: systemClock,
    log: createLog('silent'),
  });
}

const suite = notifierSuite();
const { start, channel, tell, deliveries, inState, receivedOn, newTenant } = suite;
const firstPage = { limit: 200, after: null };
const nothing = {
  name: undefined,
  url: undefined,
  routingKey: undefined,
  eventKinds: undefined,
  minSeverity: undefined,
  enabled: undefined,
};

describe('a channel', () => {
  it('keeps its secrets: what is stored is sealed, and what is shown is not enough', async () => {
    const notifier = await start();
    const secretPath = '/services/T0/B0/hidden';
    const slack = await channel(notifier, secretPath, { name: 'slack', kind: 'slack' });
    const webhook = await channel(notifier, '/in?token=hidden', { name: 'webhook' });
    const pagerDuty = await channel(notifier, '', {
      name: 'pd',
      kind: 'pagerduty',
      target: `hidden${'k'.repeat(26)}`,
    });
    expect(slack.row.shown_target).toBe(`${suite.receiver.url}/…`);
    expect(webhook.row.shown_target).toBe(`${suite.receiver.url}/in?…`);
    expect(pagerDuty.row.shown_target).toBe('…kkkk');
    expect(slack.secret).toBeNull();
    const { rows } = await sql`select * from notification_channels, notification_secrets`.execute(
      suite.database.platform,
    );
    expect(rows.length).toBeGreaterThan(0);
    const stored = JSON.stringify(rows);
    expect(stored).not.toContain('hidden');
    expect(stored).not.toContain((webhook.secret ?? '').slice(6));
    expect(JSON.stringify(await notifier.channels(suite.tenant, firstPage))).not.toContain('sealed');
    for (const column of ['notification_channels.sealed_target', 'notification_secrets.sealed']) {
      const [table, name] = column.split('.');
      await expect(
        suite.database.inTenant(suite.tenant, (tx) =>
          sql`select ${sql.raw(name ?? '')} from ${sql.raw(table ?? '')}`.execute(tx),
        ),
      ).rejects.toThrow('permission denied');
    }
  });

  it('signs with the new secret and the one before for a while, then with the new one only', async () => {
    const notifier = await start();
    const { row, secret: first } = await channel(notifier, '/in');
    const { secret: second } = await notifier.replaceSecret(suite.tenant, row.id, 3_600);
    await tell(notifier);
    const [both] = await until(async () => receivedOn('/in').length === 1 && receivedOn('/in'));
    expect(both && [first, second].map((secret) => isSignedWith(secret ?? '', both))).toEqual([true, true]);
    const { secret: third } = await notifier.replaceSecret(suite.tenant, row.id, 0);
    await tell(notifier);
    const [, last] = await until(async () => receivedOn('/in').length === 2 && receivedOn('/in'));
    expect(last && [first, second, third].map((secret) => isSignedWith(secret ?? '', last))).toEqual([
      false,
      false,
      true,
    ]);
  });

  it('has one current secret after any number of changes at once', async () => {
    const notifier = await start();
    const { row } = await channel(notifier, '/in');
    await Promise.all(Array.from({ length: 6 }, () => notifier.replaceSecret(suite.tenant, row.id, 60)));
    const { rows } = await sql<{ current: boolean }>`
      select valid_until is null as current from notification_secrets order by 1`.execute(
      suite.database.platform,
    );
    expect(rows).toEqual([{ current: false }, { current: true }]);
  });

  it('leads elsewhere at once when its address is changed', async () => {
    const notifier = await start();
    const { row } = await channel(notifier, '/old');
    await notifier.changeChannel(suite.tenant, row.id, { ...nothing, url: `${suite.receiver.url}/new` });
    await tell(notifier);
    await inState(notifier, 'delivered');
    expect([receivedOn('/old').length, receivedOn('/new').length]).toEqual([0, 1]);
  });

  it('that its receiver switched off can be switched on again', async () => {
    const notifier = await start();
    const { row } = await channel(notifier, '/gone');
    suite.receiver.answer('/gone', answerWith(410));
    await tell(notifier);
    await inState(notifier, 'dead');
    expect((await notifier.channel(suite.tenant, row.id)).disabled_reason).toContain('gone for good');
    const on = await notifier.changeChannel(suite.tenant, row.id, { ...nothing, enabled: true });
    expect(on).toMatchObject({ enabled: true, disabled_reason: null });
  });

  it('that is switched off gives up what is open on it', async () => {
    const notifier = await start();
    const { row } = await channel(notifier, '/in');
    suite.receiver.answer('/in', answerWith(500));
    await tell(notifier);
    await inState(notifier, 'failed');
    await notifier.changeChannel(suite.tenant, row.id, { ...nothing, enabled: false });
    expect(await deliveries(notifier)).toMatchObject([
      { state: 'dead', last_error: 'the channel was switched off' },
    ]);
    await expect(notifier.testChannel(suite.tenant, row.id)).rejects.toMatchObject({ code: 'conflict' });
  });

  it('can be tested whatever it wants', async () => {
    const notifier = await start();
    const { row } = await channel(notifier, '/in', {
      eventKinds: ['cost.alert.spike'],
      minSeverity: 'critical',
    });
    const delivery = await notifier.testChannel(suite.tenant, row.id);
    expect(delivery).toMatchObject({ channel_id: row.id, event_kind: 'notification.test' });
    await inState(notifier, 'delivered');
    expect(receivedOn('/in')[0]?.json.type).toBe('notification.test');
  });

  it('is one of 50 at most, however many are set up at once', async () => {
    const notifier = await start();
    const made = await Promise.allSettled(Array.from({ length: 55 }, (_, n) => channel(notifier, `/${n}`)));
    expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(50);
    await expect(channel(notifier, '/more')).rejects.toMatchObject({ code: 'conflict' });
    await expect(channel(notifier, '/0')).rejects.toMatchObject({ code: 'conflict' });
  });

  it('refuses addresses that it must not use', async () => {
    const notifier = await start({ allowedAddresses: [] });
    for (const target of [
      'https://127.0.0.1/',
      'http://hooks.example.com/',
      'https://u:p@hooks.example.com/',
      'no url',
    ]) {
      await expect(channel(notifier, '/', { target })).rejects.toMatchObject({
        code: 'invalid',
        errors: [{ path: 'url', message: expect.any(String) }],
      });
    }
    const { row } = await channel(notifier, '/', { target: 'https://hooks.example.com/in' });
    const change = { ...nothing, url: 'https://169.254.169.254/' };
    await expect(notifier.changeChannel(suite.tenant, row.id, change)).rejects.toMatchObject({
      code: 'invalid',
    });
    await expect(
      notifier.changeChannel(suite.tenant, row.id, { ...nothing, routingKey: 'k'.repeat(32) }),
    ).rejects.toMatchObject({ errors: [{ path: 'routing_key' }] });
  });

  it('of another tenant is not there, hears nothing, and neither do its deliveries exist', async () => {
    const notifier = await start();
    const other = await newTenant();
    const mine = await channel(notifier, '/mine');
    const theirs = await channel(notifier, '/theirs', {}, other);
    await tell(notifier);
    await tell(notifier, {}, other);
    await until(async () => receivedOn('/mine').length === 1 && receivedOn('/theirs').length === 1);
    expect(receivedOn('/mine')[0]?.json.tenant_id).toBe(suite.tenant.tenantId);
    expect(receivedOn('/theirs')[0]?.json.tenant_id).toBe(other.tenantId);
    const [delivery] = await deliveries(notifier, {}, other);
    const strange = theirs.row.id;
    const attempts = [
      () => notifier.channel(suite.tenant, strange),
      () => notifier.changeChannel(suite.tenant, strange, { ...nothing, name: 'mine' }),
      () => notifier.deleteChannel(suite.tenant, strange),
      () => notifier.replaceSecret(suite.tenant, strange, 0),
      () => notifier.testChannel(suite.tenant, strange),
      () => notifier.redeliver(suite.tenant, delivery?.id ?? ''),
    ];
    for (const attempt of attempts) await expect(attempt()).rejects.toMatchObject({ code: 'not_found' });
    expect((await notifier.channels(suite.tenant, firstPage)).map(({ id }) => id)).toEqual([mine.row.id]);
    expect(await deliveries(notifier, { channelId: strange })).toEqual([]);
    expect(receivedOn('/theirs')).toHaveLength(1);
  });

  it('takes its deliveries with it', async () => {
    const notifier = await start();
    const { row } = await channel(notifier, '/in');
    await tell(notifier);
    await inState(notifier, 'delivered');
    await notifier.deleteChannel(suite.tenant, row.id);
    expect(await deliveries(notifier)).toEqual([]);
    await expect(notifier.channel(suite.tenant, row.id)).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('a channel by reference', () => {
  const key = `whsec_${Buffer.alloc(32, 5).toString('base64')}`;

  it('is sent to and signed with what is kept elsewhere now; what is shown is the reference', async () => {
    const variables = new Map([
      ['GATEHOUSE_SECRET_HOOK', `${suite.receiver.url}/first`],
      ['GATEHOUSE_SECRET_KEY', key],
    ]);
    const references = keptElsewhere(variables);
    const notifier = await start({ references });
    const { row, secret } = await channel(notifier, '/', {
      target: 'env:GATEHOUSE_SECRET_HOOK',
      signingSecret: 'env:GATEHOUSE_SECRET_KEY',
    });
    expect(secret).toBeNull();
    const shown = {
      shown_target: 'env:GATEHOUSE_SECRET_HOOK',
      signing_secret_reference: 'env:GATEHOUSE_SECRET_KEY',
    };
    expect(row).toMatchObject(shown);
    expect(await notifier.channel(suite.tenant, row.id)).toMatchObject(shown);
    await tell(notifier);
    const [first] = await until(async () => receivedOn('/first').length === 1 && receivedOn('/first'));
    expect(first && isSignedWith(key, first)).toBe(true);
    variables.set('GATEHOUSE_SECRET_HOOK', `${suite.receiver.url}/second`);
    await references.look();
    await tell(notifier);
    await until(async () => receivedOn('/second').length === 1);
    expect(await notifier.replaceSecret(suite.tenant, row.id, 0, 'env:GATEHOUSE_SECRET_KEY')).toMatchObject({
      secret: null,
    });
  });

  it('says why it cannot be read, and sends nothing to what is no address that may be sent to', async () => {
    const notifier = await start({
      references: keptElsewhere(
        new Map([
          ['GATEHOUSE_SECRET_INSIDE', 'https://10.0.0.1/hidden'],
          ['GATEHOUSE_SECRET_WORD', 'hidden-word'],
        ]),
      ),
    });
    const names = ['ABSENT', 'INSIDE', 'WORD'];
    for (const name of names) await channel(notifier, name, { target: `env:GATEHOUSE_SECRET_${name}` });
    await tell(notifier);
    const failed = await until(async () => {
      const rows = await deliveries(notifier, { state: 'failed' });
      return rows.length === names.length && rows;
    });
    const errors = failed.map(({ last_error }) => last_error ?? '').sort();
    expect(errors[0]).toMatch(/^not sent: The variable GATEHOUSE_SECRET_ABSENT is not set/);
    expect(errors.slice(1)).toEqual([
      'not sent: the address is not a URL',
      expect.stringMatching(/^not sent: the address must not point to this machine or a private network/),
    ]);
    expect(errors.join()).not.toContain('hidden');
  });

  it('leads a tenant to nothing of the server', async () => {
    const notifier = await start({ references: keptElsewhere(new Map([['GATEHOUSE_SECRET_HOOK', 'x']])) });
    const admin = { ...suite.tenant, role: 'admin' };
    const foreign = ['env:GATEHOUSE_SECRET_HOOK', 'file:/etc/passwd', 'vault:teams/search#url'];
    const refused = (path: string) => ({ code: 'invalid', errors: [{ path }] });
    for (const reference of foreign) {
      await expect(channel(notifier, '/a', { target: reference }, admin)).rejects.toMatchObject(
        refused('url'),
      );
      await expect(channel(notifier, '/b', { signingSecret: reference }, admin)).rejects.toMatchObject(
        refused('signing_secret'),
      );
      await expect(
        channel(notifier, '/c', { kind: 'pagerduty', target: reference }, admin),
      ).rejects.toMatchObject(refused('routing_key'));
    }
    const { row } = await channel(
      notifier,
      'own',
      { target: `vault:tenants/${admin.tenantId}/hook#url` },
      admin,
    );
    await expect(
      notifier.changeChannel(admin, row.id, { ...nothing, url: 'env:GATEHOUSE_SECRET_HOOK' }),
    ).rejects.toMatchObject(refused('url'));
    await expect(notifier.replaceSecret(admin, row.id, 0, 'env:GATEHOUSE_SECRET_HOOK')).rejects.toMatchObject(
      refused('signing_secret'),
    );
  });
});
