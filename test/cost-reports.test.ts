import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from './harness/child.ts';
import { insertOfRow, insertTestPrice, ordinaryRow, type ReportedRow } from './harness/reported-rows.ts';
import { call, type RunningServer, removeDirectory, startServer } from './harness/server.ts';

/*
 * What finance does with the reports: reads the month, breaks it down, opens it as a spreadsheet, looks at an alert. Two
 * tenants, one of them in a time zone whose clocks are changed in the time looked at.
 */
let server: RunningServer;
let ledger: pg.Client;
const keys: Record<string, string> = {};
const tenants: Record<string, string> = {};
let rowNumber = 0;

const as = (who: string, method: string, path: string, body?: unknown, headers?: Record<string, string>) =>
  call(server.url, keys[who] ?? '', method, `/api/v1/costs/${path}`, body, headers);

beforeAll(async () => {
  server = await startServer();
  const host = encodeURIComponent(`${server.dataDir}/run`);
  ledger = new pg.Client({
    connectionString: `postgresql://gatehouse@localhost/gatehouse?host=${host}&port=5432`,
  });
  await ledger.connect();
  await insertTestPrice(ledger);
  for (const slug of ['north', 'south']) {
    const made = await server.call('POST', '/api/v1/tenants', {
      name: slug,
      slug,
      tier: 'starter',
      region: 'eu',
    });
    tenants[slug] = made.json.id;
    const key = await server.call(
      'POST',
      '/api/v1/keys',
      { name: `finance of ${slug}`, role: 'admin' },
      { 'x-tenant-id': slug },
    );
    keys[slug] = key.json.key;
  }
  // No interface needs it twice: a tenant's time zone is set where tenants are made.
  await ledger.query(`update tenants set time_zone = 'Europe/Berlin' where slug = 'north'`);
});
afterAll(async () => {
  await ledger.end();
  await server.stop();
  await removeDirectory(server.dataDir);
});

async function spend(given: Partial<ReportedRow>): Promise<void> {
  rowNumber += 1;
  await ledger.query(
    ...insertOfRow('row', {
      id: `00000000-0000-7000-8000-${String(rowNumber).padStart(12, '0')}`,
      tenantId: tenants.north ?? '',
      at: new Date(),
      ...ordinaryRow,
      costNanoUsd: 1_000_000_000n,
      outputTokens: 5,
      ...given,
    }),
  );
}

describe('costs', () => {
  it('are broken down by the tenant’s own days, also where clocks are changed', async () => {
    // 25 October 2026 has 25 hours in Berlin, from 22:00 to 23:00 UTC.
    for (const [time, costNanoUsd] of [
      ['2026-10-24T21:59:59.999Z', 1n],
      ['2026-10-24T22:00:00.000Z', 10n],
      ['2026-10-25T22:59:59.999Z', 100n],
      ['2026-10-25T23:00:00.000Z', 1_000n],
    ] as const) {
      await spend({ at: new Date(time), costNanoUsd });
    }
    const { json } = await as('north', 'GET', 'breakdown?by=day&from=2026-10-24&to=2026-10-27');
    expect(json).toMatchObject({
      from: '2026-10-23T22:00:00.000Z',
      to: '2026-10-26T23:00:00.000Z',
      time_zone: 'Europe/Berlin',
      next_cursor: null,
    });
    expect(json.lines.map((line: any) => [line.value, line.cost_usd])).toEqual([
      ['2026-10-24', '0.000000001'],
      ['2026-10-25', '0.000000110'],
      ['2026-10-26', '0.000001000'],
    ]);
    const first = await as('north', 'GET', 'breakdown?by=day&from=2026-10-24&to=2026-10-27&limit=1');
    expect(first.json.lines).toHaveLength(1);
    const cursor = encodeURIComponent(first.json.next_cursor);
    const rest = await as(
      'north',
      'GET',
      `breakdown?by=day&from=2026-10-24&to=2026-10-27&limit=2&cursor=${cursor}`,
    );
    expect(rest.json.lines.map((line: any) => line.value)).toEqual(['2026-10-25', '2026-10-26']);
    const other = await as('south', 'GET', 'breakdown?by=day&from=2026-10-24&to=2026-10-27');
    expect(other.json.lines).toEqual([]);
  });

  it('are a spreadsheet in which nothing runs, in pages that name the next', async () => {
    const from = '2026-09-01';
    const at = new Date('2026-09-10T12:00:00Z');
    await spend({ at, model: '=HYPERLINK("http://example.test")', costNanoUsd: 5n, tags: ['a', 'b'] });
    await spend({ at, model: 'plain', costNanoUsd: 7n, tags: ['b'] });
    await spend({ at, model: 'plain', costNanoUsd: null });
    const path = `breakdown?by=model&from=${from}&to=2026-10-01`;
    const csv = await as('north', 'GET', path, undefined, { accept: 'text/csv' });
    expect(csv.headers.get('content-type')).toContain('text/csv');
    expect(csv.headers.get('content-disposition')).toBe('attachment; filename="costs-by-model.csv"');
    const [header, ...lines] = csv.text.trimEnd().split('\r\n');
    expect(header).toMatch(/^model,name,cost_usd,adjustments_usd,calls,input_tokens,/);
    expect(lines[0]).toMatch(/^plain,,0\.000000007,0\.000000000,2,20,/);
    expect(lines[1]).toMatch(/^"'=HYPERLINK\(""http:\/\/example\.test""\)",,0\.000000005,/);
    const page = await as('north', 'GET', `${path}&format=csv&limit=1`);
    const next = /<([^>]+)>; rel="next"/.exec(page.headers.get('link') ?? '')?.[1] ?? '';
    const second = await call(server.url, keys.north ?? '', 'GET', next);
    expect(second.text.split('\r\n')[1]).toContain('HYPERLINK');
    expect(second.headers.get('link')).toBeNull();
    const tags = await as('north', 'GET', `breakdown?by=tag&from=${from}&to=2026-10-01`);
    expect(tags.json.lines.map((line: any) => [line.value, line.cost_usd, line.calls])).toEqual([
      ['b', '0.000000012', 2],
      ['a', '0.000000005', 1],
      [null, '0.000000000', 1],
    ]);
    expect(tags.json.notes[0]).toContain('several tags');
  });

  it('name keys, and total to the summary, whether or not they are rolled up', async () => {
    const listed = await call(server.url, keys.north ?? '', 'GET', '/api/v1/keys');
    const keyId = listed.json.keys.find((key: any) => key.name === 'finance of north').id;
    await spend({ keyId, costNanoUsd: 123_456_789n });
    const read = async () => ({
      summary: (await as('north', 'GET', 'summary')).json,
      keys: (await as('north', 'GET', 'breakdown?by=key')).json,
    });
    const before = await read();
    expect(before.keys.lines).toMatchObject([
      { value: keyId, name: 'finance of north', cost_usd: '0.123456789', calls: 1 },
    ]);
    expect(before.summary).toMatchObject({ total_cost_usd: '0.123456789', adjustments_usd: '0.000000000' });
    await until(async () => {
      const { rows } = await ledger.query(`select from ledger, cost_rollup_horizon
        where (added_by, id) > (ledger_added_by, ledger_id) limit 1`);
      return rows.length === 0;
    });
    expect(await read()).toEqual(before);
  });

  it('raise an alert that is acknowledged by whoever may manage costs', async () => {
    await spend({ model: 'no-such-model', costNanoUsd: null });
    let alert: any;
    await until(async () => {
      [alert] = (await as('north', 'GET', 'alerts?kind=unpriced')).json.alerts;
      return alert !== undefined;
    });
    expect(alert).toMatchObject({ subject: 'model:no-such-model', acknowledged_at: null });
    expect((await as('south', 'GET', 'alerts')).json.alerts).toEqual([]);
    expect((await as('south', 'POST', `alerts/${alert.id}/acknowledge`)).status).toBe(404);
    const seen = await as('north', 'POST', `alerts/${alert.id}/acknowledge`);
    expect(seen.json.acknowledged_at).not.toBeNull();
    expect((await as('north', 'GET', 'alerts?state=open')).json.alerts).toEqual([]);
  });

  it('refuse what makes no sense with the field that is wrong', async () => {
    for (const [query, field] of [
      ['by=colour', 'by'],
      ['by=key&from=yesterday', 'from'],
      ['by=key&from=2026-03-01&to=2026-03-01', 'to'],
      ['by=key&from=2024-01-01&to=2026-01-01', 'to'],
      ['by=key&limit=201', 'limit'],
      ['by=key&format=csv&limit=10001', 'limit'],
      ['by=key&cursor=bm9uZQ', 'cursor'],
      ['by=day&cursor=WyIyMDI2LTAyLTMwIl0', 'cursor'],
      ['by=key&cursor=WyI5OTk5OTk5OTk5OTk5OTk5OTk5OTk5IixudWxsXQ', 'cursor'],
    ]) {
      const { status, json } = await as('north', 'GET', `breakdown?${query}`);
      expect({ query, status, path: json.errors?.[0]?.path }).toEqual({ query, status: 422, path: field });
    }
  });
});
