import { extractText, getDocumentProxy } from 'unpdf';
import { describe, expect, it } from 'vitest';
import { billingSuite, month, nano, today } from './harness/billing-suite.ts';
import { call } from './harness/server.ts';

/** From a price of one's own to the bill: as an operator meets it, by HTTP. */
const { as, ask, ledger, draft, server, keys } = billingSuite();

describe('what invoices are made of', () => {
  it('is nothing that a tenant’s own admin sets', async () => {
    for (const path of ['prices', 'discounts', 'adjustments', 'adjustments/reprice']) {
      const reply = await call(server().url, keys.north ?? '', 'POST', `/api/v1/costs/${path}`, {});
      expect({ path, status: reply.status }).toEqual({ path, status: 403 });
    }
  });
});

describe('prices of one’s own', () => {
  it('are what the next call costs, and nobody else’s', async () => {
    await ask('north');
    const set = await as('north', 'POST', '/api/v1/costs/prices', {
      provider: 'sim',
      model: 'gpt-4o*',
      components: { input_mtok: '1000', output_mtok: 2000 },
      reason: 'As agreed',
    });
    expect(set.status).toBe(201);
    const usage = await ask('north');
    await ask('south');
    const [second, first] = await ledger('north');
    expect(first.price_version).toMatch(/^genai-prices-/);
    expect(second.price_version).toBe(`override-${set.json.id}`);
    const exact = BigInt(usage.prompt_tokens) * 1_000_000n + BigInt(usage.completion_tokens) * 2_000_000n;
    expect(nano(second.cost_usd)).toBe(exact);
    expect((await ledger('south'))[0].price_version).toMatch(/^genai-prices-/);

    const discount = await as('north', 'POST', '/api/v1/costs/discounts', {
      provider: 'sim',
      percent: '12.5',
    });
    expect(discount.status).toBe(201);
    const cheaper = await ask('north');
    const full = BigInt(cheaper.prompt_tokens) * 1_000_000n + BigInt(cheaper.completion_tokens) * 2_000_000n;
    expect(nano((await ledger('north'))[0].cost_usd)).toBe((full * 875n) / 1000n);

    const shown = await as('north', 'GET', '/api/v1/costs/prices?provider=sim&model=gpt-4o-mini');
    expect(shown.json.effective).toMatchObject({
      source: 'override',
      override_id: set.json.id,
      components: { input_mtok: '1000', output_mtok: '2000' },
      discount: { id: discount.json.id, percent: '12.5000' },
    });
    const others = await as('south', 'GET', '/api/v1/costs/prices?provider=sim&model=gpt-4o-mini');
    expect(others.json).toMatchObject({ prices: [], effective: { source: 'catalogue', discount: null } });
    expect((await as('south', 'DELETE', `/api/v1/costs/prices/${set.json.id}`)).status).toBe(404);
    expect((await as('south', 'GET', '/api/v1/costs/discounts')).json.discounts).toEqual([]);
  });

  it('of the platform hold for tenants without their own; only an owner sets them', async () => {
    const set = await server().call('POST', '/api/v1/costs/prices', {
      provider: 'sim',
      model: 'house-model',
      components: { input_mtok: '3', output_mtok: '4' },
    });
    expect(set.json.scope).toBe('platform');
    for (const who of ['north', 'south']) {
      await ask(who, 'house-model');
      expect((await ledger(who))[0]).toMatchObject({
        pricing_state: 'priced',
        price_version: `override-${set.json.id}`,
      });
    }
    expect((await as('north', 'DELETE', `/api/v1/costs/prices/${set.json.id}`)).status).toBe(404);
    expect((await server().call('DELETE', `/api/v1/costs/prices/${set.json.id}`)).status).toBe(204);
    await ask('south', 'house-model');
    expect((await ledger('south'))[0].pricing_state).toBe('unpriced');
  });

  it('that are none are refused with the field, and nothing is saved', async () => {
    const price = { provider: 'sim', model: 'm', components: { input_mtok: '1' } };
    const before = (await as('south', 'GET', '/api/v1/costs/prices')).text;
    for (const [change, field] of [
      [{ components: { input_mtok: '-1' } }, 'components.input_mtok'],
      [{ components: { input_mtok: 'NaN' } }, 'components.input_mtok'],
      [{ components: { input_mtok: '0.0000000000001' } }, 'components.input_mtok'],
      [{ components: { input_mtok: 10_000_000 } }, 'components.input_mtok'],
      [{ components: { inputs: '1' } }, 'components'],
      [{ components: {} }, 'components'],
      [{ model: 'gpt*4' }, 'model'],
      [{ provider: 'no such name' }, 'provider'],
      [{ effective_from: 'yesterday' }, 'effective_from'],
    ] as const) {
      const reply = await as('south', 'POST', '/api/v1/costs/prices', { ...price, ...change });
      expect({ change, status: reply.status, path: reply.json.errors?.[0]?.path }).toEqual({
        change,
        status: 422,
        path: field,
      });
    }
    expect((await as('south', 'GET', '/api/v1/costs/prices')).text).toBe(before);
    for (const [body, field] of [
      [{ percent: 0 }, 'percent'],
      [{ percent: 100.1 }, 'percent'],
      [{ percent: '1.00001' }, 'percent'],
      [{ percent: 1, model: 'm' }, 'provider'],
      [
        { percent: 1, effective_from: '2026-02-01T00:00:00Z', effective_to: '2026-01-01T00:00:00Z' },
        'effective_to',
      ],
    ] as const) {
      const reply = await as('south', 'POST', '/api/v1/costs/discounts', body);
      expect({ body, status: reply.status, path: reply.json.errors?.[0]?.path }).toEqual({
        body,
        status: 422,
        path: field,
      });
    }
    expect((await as('south', 'GET', '/api/v1/costs/discounts')).json.discounts).toEqual([]);
  });
});

describe('the invoice', () => {
  it('is what the ledger and its adjustments come to, as JSON, CSV and PDF', async () => {
    const rows = (await ledger('north')) as { cost_usd: string | null }[];
    const sum = rows.reduce((all, { cost_usd }) => all + (cost_usd === null ? 0n : nano(cost_usd)), 0n);
    expect(nano((await draft('north')).exact_total_usd)).toBe(sum);

    const credit = { kind: 'credit', amount_usd: '-0.123456789', reason: 'Für die Störung' };
    expect((await as('north', 'POST', '/api/v1/costs/adjustments', credit)).status).toBe(201);
    for (const [change, field] of [
      [{ amount_usd: '1' }, 'amount_usd'],
      [{ amount_usd: '-0.0000000001' }, 'amount_usd'],
      [{ amount_usd: '-1e3' }, 'amount_usd'],
      [{ amount_usd: -9_000_001 }, 'amount_usd'],
      [{ reason: ' ' }, 'reason'],
      [{ at: '2020-01-01T00:00:00Z' }, 'at'],
    ] as const) {
      const reply = await as('north', 'POST', '/api/v1/costs/adjustments', { ...credit, ...change });
      expect({ change, status: reply.status, path: reply.json.errors?.[0]?.path }).toEqual({
        change,
        status: 422,
        path: field,
      });
    }
    const whole = await draft('north');
    expect(nano(whole.exact_total_usd)).toBe(sum - 123_456_789n);
    const shown = whole.lines.reduce((all: bigint, line: any) => all + nano(line.amount_usd), 0n);
    expect(shown).toBe(nano(whole.total_usd));

    const list = await as('north', 'GET', '/api/v1/costs/invoices');
    expect(list.json.invoices).toMatchObject([{ id: month(), status: 'draft', total_usd: whole.total_usd }]);
    const csv = await call(
      server().url,
      keys.north ?? '',
      'GET',
      `/api/v1/costs/invoices/${month()}`,
      undefined,
      {
        accept: 'text/csv',
      },
    );
    expect(csv.headers.get('content-type')).toContain('text/csv');
    expect(csv.text.trimEnd().split('\r\n').at(-1)).toMatch(
      new RegExp(`${whole.exact_total_usd},${whole.total_usd}$`),
    );
    const pdf = await fetch(`${server().url}/api/v1/costs/invoices/${month()}.pdf`, {
      headers: { authorization: `Bearer ${keys.north}` },
    });
    expect(pdf.headers.get('content-type')).toBe('application/pdf');
    const document = await getDocumentProxy(new Uint8Array(await pdf.arrayBuffer()));
    const { text } = await extractText(document, { mergePages: true });
    for (const said of [
      'Müller & Søn',
      'sim / gpt-4o-mini',
      'credit: Für die Störung',
      `USD ${whole.total_usd}`,
    ]) {
      expect(text).toContain(said);
    }
    expect((await as('south', 'GET', `/api/v1/costs/invoices/${month()}`)).text).not.toContain('gpt-4o*');
    expect((await as('south', 'GET', '/api/v1/costs/adjustments')).json.adjustments).toEqual([]);
    expect((await as('south', 'GET', '/api/v1/costs/invoices/2020-01')).status).toBe(404);
    expect((await as('south', 'GET', '/api/v1/costs/invoices/nonsense')).status).toBe(422);
  });

  it('has what was unpriced when it has a price, as an adjustment made once', async () => {
    const before = await draft('south');
    expect(before.lines).toContainEqual(
      expect.objectContaining({ kind: 'unpriced', model: 'house-model', calls: 1 }),
    );
    const price = {
      provider: 'sim',
      model: 'house-model',
      components: { input_mtok: '3', output_mtok: '4' },
    };
    const set = { ...price, effective_from: `${month()}-01T00:00:00Z` };
    expect((await as('south', 'POST', '/api/v1/costs/prices', set)).status).toBe(201);
    const dry = await as('south', 'POST', '/api/v1/costs/adjustments/reprice', { ...today(), dry_run: true });
    expect(dry.json).toMatchObject({ batch_id: null, newly_priced: 1, adjusted: 1 });
    const done = await as('south', 'POST', '/api/v1/costs/adjustments/reprice', today());
    expect(done.json).toMatchObject({ state: 'done', newly_priced: 1, delta_usd: dry.json.delta_usd });
    const again = await as('south', 'POST', '/api/v1/costs/adjustments/reprice', today());
    expect(again.json).toMatchObject({ adjusted: 0, delta_usd: '0.000000000' });
    const after = await draft('south');
    expect(after.lines.some(({ kind }: { kind: string }) => kind === 'unpriced')).toBe(false);
    expect(nano(after.exact_total_usd)).toBe(nano(before.exact_total_usd) + nano(done.json.delta_usd));
    const batch = await as('south', 'GET', `/api/v1/costs/adjustments/reprice/${done.json.batch_id}`);
    expect(batch.json).toMatchObject({ state: 'done', adjusted: 1, delta_usd: done.json.delta_usd });
    expect((await as('north', 'GET', `/api/v1/costs/adjustments/reprice/${done.json.batch_id}`)).status).toBe(
      404,
    );
  });
});

describe('lists', () => {
  it('take no cursor that they did not give out', async () => {
    const cursor = Buffer.from('2026-01-01T00:00:00.000Z|1 or 1').toString('base64url');
    for (const list of ['prices', 'discounts', 'adjustments', 'invoices', 'reconciliations']) {
      const reply = await as('north', 'GET', `/api/v1/costs/${list}?cursor=${cursor}`);
      expect({ list, status: reply.status }).toEqual({ list, status: 422 });
    }
    const first = await as('north', 'GET', '/api/v1/costs/prices?limit=1');
    expect(first.json.prices).toHaveLength(1);
    const next = await as('north', 'GET', `/api/v1/costs/prices?limit=1&cursor=${first.json.next_cursor}`);
    expect(next.json).toMatchObject({ prices: [], next_cursor: null });
  });
});
