import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AppError } from '../../platform/errors.ts';
import { createCsvReader } from './csv-reader.ts';
import { readExport } from './read-export.ts';

async function* inPieces(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text, 'utf8');
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
const read = (given: unknown, size = 7) =>
  readExport(inPieces(typeof given === 'string' ? given : JSON.stringify(given), size));

/** @returns where an export is wrong. */
async function faultOf(given: unknown): Promise<string> {
  const error = await read(given).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof AppError)) throw new Error(`no fault, or another: ${error}`);
  expect(error.code).toBe('invalid');
  return `${error.errors[0]?.path}: ${error.errors[0]?.message}`;
}

const noon = Date.UTC(2026, 9, 5) / 1000;
const openAiBucket = (results: unknown[], start = noon) => ({
  object: 'bucket',
  start_time: start,
  end_time: start + 86_400,
  results,
});
const openAiPage = (...data: unknown[]) => ({ object: 'page', data, has_more: false, next_page: null });
const openAiUsage = {
  object: 'organization.usage.completions.result',
  input_tokens: 1_000,
  output_tokens: 500,
  input_cached_tokens: 800,
  input_audio_tokens: 0,
  output_audio_tokens: 0,
  num_model_requests: 5,
  project_id: null,
  user_id: null,
  api_key_id: null,
  model: 'gpt-4o-mini-2024-07-18',
  batch: null,
};
const anthropicUsage = {
  uncached_input_tokens: 1_500,
  cache_creation: { ephemeral_1h_input_tokens: 1_000, ephemeral_5m_input_tokens: 500 },
  cache_read_input_tokens: 200,
  output_tokens: 500,
  server_tool_use: { web_search_requests: 10 },
  model: 'claude-sonnet-4-5-20250929',
  service_tier: 'standard',
};
const anthropicPage = (results: unknown[]) => ({
  data: [{ starting_at: '2026-10-05T00:00:00Z', ending_at: '2026-10-06T00:00:00Z', results }],
  has_more: false,
  next_page: null,
});

describe('an export of OpenAI', () => {
  it('of usage is read from pages, added up by day and model, with the days on which nothing was used', async () => {
    const pages = [
      openAiPage(openAiBucket([openAiUsage, { ...openAiUsage, batch: false }])),
      openAiPage(openAiBucket([], noon + 86_400), openAiBucket([], noon - 86_400)),
    ];
    expect(await read(pages)).toMatchObject({
      format: 'openai-usage-json',
      classes: ['input', 'cached_read', 'output'],
      tellsMoney: false,
      tellsCalls: true,
      firstDay: '2026-10-04',
      lastDay: '2026-10-06',
      rows: [
        {
          day: '2026-10-05',
          model: 'gpt-4o-mini-2024-07-18',
          requests: 10,
          tokens: { input: 2_000, cached_read: 1_600, output: 1_000 },
        },
      ],
    });
  });

  it('of costs is exact, however the amounts are written', async () => {
    const cost = (value: unknown, line_item: string | null = 'gpt-4o-2024-08-06, input') => ({
      object: 'organization.costs.result',
      amount: { value, currency: 'usd' },
      line_item,
      project_id: null,
    });
    const page = openAiPage(
      openAiBucket([
        cost('0.8958740000000000'),
        cost(1.5e-7, 'gpt-4o-2024-08-06, cached input'),
        cost(-0.1, null),
      ]),
    );
    const { format, tellsMoney, tellsCalls, rows } = await read(page);
    expect({ format, tellsMoney, tellsCalls }).toEqual({
      format: 'openai-costs-json',
      tellsMoney: true,
      tellsCalls: false,
    });
    expect(rows.map(({ model, nanoUsd }) => [model, nanoUsd])).toEqual([
      ['gpt-4o-2024-08-06', 895_874_150n],
      [null, -100_000_000n],
    ]);
  });

  it('from the dashboard is CSV of minutes or days', async () => {
    const csv = [
      '\uFEFFstart_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,model,batch,input_tokens,output_tokens,input_cached_tokens',
      `${noon},${noon + 60},,,proj,2,gpt-4o-2024-08-06,False,3608,564,0`,
      `${noon + 60},${noon + 120},,,proj,1,gpt-4o-2024-08-06,False,392,36,100`,
      `${noon + 86_400},${noon + 2 * 86_400},,,,,,,,,`,
      '',
    ].join('\r\n');
    expect(await read(csv)).toMatchObject({
      format: 'openai-usage-csv',
      lastDay: '2026-10-06',
      rows: [
        { model: 'gpt-4o-2024-08-06', requests: 3, tokens: { input: 4_000, cached_read: 100, output: 600 } },
      ],
    });
    const costs = [
      'start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id',
      `${noon},${noon + 86_400},,,0.0720540000000000,usd,,`,
      `${noon + 86_400},${noon + 2 * 86_400},,,,,,`,
    ].join('\n');
    expect(await read(costs)).toMatchObject({
      format: 'openai-costs-csv',
      rows: [{ model: null, nanoUsd: 72_054_000n }],
    });
  });
});

describe('an export of Anthropic', () => {
  it('of usage counts what the cache gave and took as input', async () => {
    expect(await read(anthropicPage([anthropicUsage]))).toMatchObject({
      format: 'anthropic-usage-json',
      tellsCalls: false,
      rows: [
        {
          day: '2026-10-05',
          model: 'claude-sonnet-4-5-20250929',
          requests: null,
          tokens: { input: 3_200, cached_read: 200, cache_write_5m: 500, cache_write_1h: 1_000, output: 500 },
        },
      ],
    });
  });

  it('of costs is in cents', async () => {
    const cost = {
      currency: 'USD',
      amount: '123.456789012',
      model: 'claude-haiku-4-5',
      token_type: 'output_tokens',
    };
    expect((await read(anthropicPage([cost]))).rows[0]?.nanoUsd).toBe(1_234_567_890n);
  });

  it('from the console is CSV, old or new, with names as they are shown there', async () => {
    const usage = [
      'usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens,web_search_count,inference_geo,speed',
      '2026-10-05,claude-sonnet-4-5-20250929,"key, one",Default,standard,≤ 200k,100,20,3,400,50,0,,',
    ].join('\n');
    expect(await read(usage, 3)).toMatchObject({
      format: 'anthropic-usage-csv',
      rows: [{ tokens: { input: 523, cached_read: 400, cache_write_5m: 20, cache_write_1h: 3, output: 50 } }],
    });
    const costs = [
      'usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd',
      '2026-10-05,Claude Haiku 4.5,Default,key,message,≤ 200k,input_no_cache,0.05,0.05',
      '2026-10-05,Claude Haiku 4.5,Default,key,message,≤ 200k,output,1.20,1.20',
    ].join('\n');
    expect(await read(costs)).toMatchObject({
      format: 'anthropic-costs-csv',
      rows: [{ model: 'Claude Haiku 4.5', nanoUsd: 1_250_000_000n }],
    });
  });
});

describe('what cannot be read', () => {
  it('is refused with its place', async () => {
    const wrong = (change: object) => openAiPage(openAiBucket([{ ...openAiUsage, ...change }]));
    const costs = (amount: unknown) =>
      openAiPage(openAiBucket([{ object: 'organization.costs.result', amount, line_item: null }]));
    const expected: [unknown, string][] = [
      [wrong({ input_tokens: -1 }), 'data[0].results[0].input_tokens: -1 is not a count'],
      [wrong({ output_tokens: 1.5 }), 'data[0].results[0].output_tokens: 1.5 is not a count'],
      [wrong({ model: 7 }), 'data[0].results[0].model: 7 is not a name'],
      [
        wrong({ object: 'organization.usage.images.result' }),
        'data[0].results[0]: "organization.usage.images.result" is not',
      ],
      [openAiPage(openAiBucket([openAiUsage, costs({}).data[0]])), 'data[0].results[1]: is of another kind'],
      [
        openAiPage({ ...openAiBucket([]), end_time: noon + 700_000 }),
        'data[0]: reaches over several UTC days',
      ],
      [openAiPage({ ...openAiBucket([]), start_time: 'soon' }), 'data[0].start_time: "soon" is not a time'],
      [openAiPage(openAiBucket([])), 'export: holds no results'],
      [{ ...openAiPage(openAiBucket([openAiUsage])), has_more: true }, 'has_more: there are more pages'],
      [
        openAiPage(openAiBucket([openAiUsage]), openAiBucket([], noon + 86_400 * 200)),
        'export: is about 201 days',
      ],
      [costs({ value: 'NaN', currency: 'usd' }), 'data[0].results[0].amount.value: "NaN" is not an amount'],
      [
        costs({ value: 1, currency: 'eur' }),
        'data[0].results[0].amount.currency: amounts are compared in US dollars',
      ],
      [[1], '[0]: 1 is not an object'],
      ['{"data": [', 'export: is not JSON'],
      ['', 'export: is empty'],
      ['a,b\n1,2', 'line 1: the header is of no form'],
      ['usage_date_utc,cost_usd\n', 'export: holds no rows'],
      [
        'usage_date_utc,cost_usd\n2026-10-05,1\n2026-02-30,1',
        'line 3: usage_date_utc: "2026-02-30" is not a day',
      ],
      ['usage_date_utc,cost_usd\n2026-10-05,1,2', 'line 2: has 3 values, not 2 as the header'],
      ['usage_date_utc,cost_usd\n\n"2026-10-05,1', 'line 3: a quote is not closed'],
      [
        openAiPage(
          ...[0, 1].map((day) =>
            openAiBucket(
              Array(4).fill({ ...openAiUsage, input_tokens: 2 ** 50, input_cached_tokens: 0 }),
              noon + day * 86_400,
            ),
          ),
        ),
        'data[1].results[3]: more is counted than there can be',
      ],
      ['usage_date_utc,cost_usd\n2026-10-05,1e999', 'line 2: cost_usd: "1e999" is not an amount'],
    ];
    for (const [given, fault] of expected) expect(await faultOf(given)).toContain(fault);
  });

  it('is refused when it is no text, or too long', async () => {
    async function* bytes(...pieces: readonly Uint8Array[]) {
      yield* pieces;
    }
    await expect(readExport(bytes(Uint8Array.of(0xff, 0xfe, 0x00)))).rejects.toThrow(/UTF-8/);
    const large = Buffer.alloc(9 * 1024 * 1024, ' ');
    await expect(readExport(bytes(Buffer.from('['), large))).rejects.toMatchObject({ code: 'too_large' });
  });
});

describe('CSV', () => {
  it('comes back as it was written, whatever the pieces', () => {
    const value = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', ' ', 'é'), maxLength: 6 });
    const table = fc.array(fc.tuple(value, value), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(table, fc.integer({ min: 1, max: 9 }), (rows, size) => {
        const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
        const csv = `x,y\n${rows.map((row) => row.map(quoted).join(',')).join('\r\n')}`;
        const found: string[][] = [];
        const reader = createCsvReader(({ values }) => found.push([values.x ?? '', values.y ?? '']));
        for (let at = 0; at < csv.length; at += size) reader.write(csv.slice(at, at + size));
        reader.end();
        expect(found).toEqual(rows);
      }),
    );
  });
});
