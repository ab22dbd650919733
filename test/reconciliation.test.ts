import { beforeAll, describe, expect, it } from 'vitest';
import { billingSuite } from './harness/billing-suite.ts';
import { call } from './harness/server.ts';

/** From what the provider says back to the ledger: as an operator meets it, by HTTP. */
const { as, ask, ledger, server, keys } = billingSuite();

/** What the provider answered, and will be asked about. */
beforeAll(async () => {
  for (const who of ['north', 'south']) await ask(who);
  await ask('north', 'gpt-4o');
});

describe('reconciliation', () => {
  const exported = (rows: any[], extra = 0) => {
    const start = Math.floor(Date.parse(`${new Date().toISOString().slice(0, 10)}T00:00:00Z`) / 1000);
    const of = (model: string) => rows.filter((row) => (row.response_model ?? row.model) === model);
    const sum = (list: any[], name: string) => list.reduce((all, row) => all + row[name], 0);
    const models = [...new Set(rows.map((row) => row.response_model ?? row.model))] as string[];
    return {
      object: 'page',
      data: [
        {
          object: 'bucket',
          start_time: start,
          end_time: start + 86_400,
          results: models.map((model) => ({
            object: 'organization.usage.completions.result',
            model,
            num_model_requests: of(model).length,
            input_tokens: sum(of(model), 'input_tokens') + extra,
            input_cached_tokens: sum(of(model), 'cached_read_tokens'),
            output_tokens: sum(of(model), 'output_tokens'),
          })),
        },
      ],
      has_more: false,
      next_page: null,
    };
  };

  it('finds no drift where there is none, and says where there is', async () => {
    const rows = await ledger('north');
    const same = await as('north', 'POST', '/api/v1/costs/reconciliations', {
      provider: 'sim',
      tolerance_percent: 0,
      export: exported(rows),
    });
    expect(same.status).toBe(201);
    expect(same.json).toMatchObject({
      format: 'openai-usage-json',
      within_tolerance: true,
      totals: { lines_outside: 0, drift: { calls: 0, tokens: { input: 0, cached_read: 0, output: 0 } } },
    });
    const form = new FormData();
    form.set('file', new Blob([JSON.stringify(exported(rows, 1_000))]), 'usage.json');
    form.set('provider', 'sim');
    const drifted = await as('north', 'POST', '/api/v1/costs/reconciliations', form);
    expect(drifted.status).toBe(201);
    expect(drifted.json.within_tolerance).toBe(false);
    expect(drifted.json.lines[0]).toMatchObject({ found: 'both', drift: { tokens: { input: 1_000 } } });

    const list = await as('north', 'GET', '/api/v1/costs/reconciliations');
    expect(list.json.reconciliations.map(({ id }: { id: string }) => id)).toEqual([
      drifted.json.id,
      same.json.id,
    ]);
    expect((await as('north', 'GET', `/api/v1/costs/reconciliations/${same.json.id}`)).json).toEqual(
      same.json,
    );
    expect((await as('south', 'GET', `/api/v1/costs/reconciliations/${same.json.id}`)).status).toBe(404);
    expect((await as('south', 'GET', '/api/v1/costs/reconciliations')).json.reconciliations).toEqual([]);
  });

  it('of the platform is with the calls of every tenant that used its provider', async () => {
    const rows = [...(await ledger('north')), ...(await ledger('south'))];
    const body = { provider: 'sim', tolerance_percent: '0', export: exported(rows) };
    const all = await server().call('POST', '/api/v1/costs/reconciliations', body);
    expect(all.json).toMatchObject({ within_tolerance: true, totals: { ledger: { calls: rows.length } } });
    for (const who of ['north', 'south']) {
      expect((await as(who, 'GET', `/api/v1/costs/reconciliations/${all.json.id}`)).status).toBe(404);
    }
    expect((await server().call('GET', `/api/v1/costs/reconciliations/${all.json.id}`)).status).toBe(200);
  });

  it('refuses what it cannot read, with its place, and saves nothing', async () => {
    const send = (file: string | null, fields: Record<string, string> = { provider: 'sim' }) => {
      const form = new FormData();
      if (file !== null) form.set('file', new Blob([file]), 'export.csv');
      for (const [name, value] of Object.entries(fields)) form.set(name, value);
      return as('south', 'POST', '/api/v1/costs/reconciliations', form);
    };
    const csv = 'usage_date_utc,model,cost_usd\n2026-10-05,m,1.00\n';
    for (const [file, fields, place] of [
      [`${csv}2026-10-06,m,minus one\n`, undefined, 'line 3: cost_usd'],
      ['a,b\n', undefined, 'line 1'],
      ['{"data": 1}', undefined, 'data'],
      [`${csv}${'x'.repeat(200_000)}`, undefined, 'line 3'],
      [csv, { provider: 'sim', tolerance_percent: '101' }, 'tolerance_percent'],
      [csv, {}, 'provider'],
      [null, { provider: 'sim' }, 'file'],
    ] as const) {
      const reply = await send(file, fields as Record<string, string> | undefined);
      expect({ place, status: reply.status, at: reply.json?.errors?.[0]?.path }).toEqual({
        place,
        status: 422,
        at: place,
      });
    }
    const inJson = await as('south', 'POST', '/api/v1/costs/reconciliations', {
      provider: 'sim',
      export: csv,
      tolerance_percent: -1,
    });
    expect(inJson.status).toBe(422);
    const plain = await call(server().url, keys.south ?? '', 'POST', '/api/v1/costs/reconciliations', csv, {
      'content-type': 'text/csv',
    });
    expect(plain.status).toBe(415);
    expect((await as('south', 'GET', '/api/v1/costs/reconciliations')).json.reconciliations).toEqual([]);
    expect((await send(csv)).status).toBe(201);
  });
});
