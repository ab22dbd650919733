import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { gatehouse } from '../../test/harness/command-line.ts';

/** What the other end says to a question; each test sets its own. */
let answer: (body: { query: string; model?: string }, wantsEvents: boolean, response: ServerResponse) => void;
let server: Server;
let url: string;
beforeAll(async () => {
  server = createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    answer(JSON.parse(body), request.headers.accept === 'text/event-stream', response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(resolve));
});

const whole = {
  answer: 'Walls keep them apart [1]. So does paint.',
  citations: [
    { document_id: 'd-1', title: 'The house', start: 10, end: 35, text: 'Walls keep tenants apart.' },
  ],
  sentences: [
    { text: 'Walls keep them apart [1].', supported: true, citations: [0] },
    { text: ' So does paint.', supported: false, citations: [] },
  ],
  generated_by: { tier: 'default', provider: 'openai', model: 'gpt-test' },
  covered: true,
  confidence: 0.71,
  usage: { input_tokens: 10, output_tokens: 5, embedding_tokens: 0 },
  cost_usd: '0.00012',
  correlation_id: 'corr-0002',
};

function asJson(value: unknown) {
  return (_body: unknown, _wantsEvents: boolean, response: ServerResponse) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(value));
  };
}

function asEvents(...events: [string, unknown][]) {
  return (_body: unknown, wantsEvents: boolean, response: ServerResponse) => {
    expect(wantsEvents).toBe(true);
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    response.end(
      events.map(([event, data]) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`).join(''),
    );
  };
}

const ask = (...args: string[]) =>
  gatehouse(['ask', ...args], { GATEHOUSE_URL: url, GATEHOUSE_API_KEY: 'gh_test' });

it('shows the answer, what it rests on, and what nothing bears out', async () => {
  answer = asJson(whole);
  const { exitCode, stdout } = await ask('Why?');
  expect(exitCode).toBe(0);
  expect(stdout).toBe(
    [
      'Walls keep them apart [1]. So does paint.',
      '',
      'Sources',
      '  [1] The house, characters 10 to 35 of d-1',
      '',
      'Not borne out by the sources: So does paint.',
      'By openai/gpt-test (default). Confidence 0.71, 0.00012 US dollars.',
      '',
    ].join('\n'),
  );
});

it('passes on the question and the model, and with --json all of the answer', async () => {
  let asked: unknown;
  answer = (body, wantsEvents, response) => {
    asked = body;
    asJson(whole)(body, wantsEvents, response);
  };
  const { stdout } = await ask('Why?', '--model', 'fast', '--json');
  expect(asked).toEqual({ query: 'Why?', model: 'fast' });
  expect(JSON.parse(stdout)).toEqual(whole);
});

it('shows a streamed answer once, as it comes, and begins anew when the server does', async () => {
  answer = asEvents(
    ['delta', { text: 'Perhaps' }],
    ['restart', { reason: 'The model did not answer.' }],
    ['citation', { index: 0, ...whole.citations[0] }],
    ['delta', { text: 'Walls keep them apart [1].', supported: true }],
    ['delta', { text: ' So does paint.', supported: false }],
    ['done', whole],
  );
  const { exitCode, stdout } = await ask('Why?', '--stream');
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(
    /^Perhaps\n\nThe model did not answer\.\n\nWalls keep them apart \[1\]\. So does paint\.\n\nSources\n/,
  );
});

it('ends with 3 when the sources do not cover the question', async () => {
  answer = asJson({
    ...whole,
    answer: 'The sources do not say.',
    covered: false,
    citations: [],
    sentences: [],
    generated_by: { tier: 'search_results', provider: null, model: null },
  });
  const { exitCode, stdout } = await ask('Why?');
  expect(exitCode).toBe(3);
  expect(stdout).toContain('Quoted from the sources without a model.');
});

it('says why when the answer breaks off', async () => {
  const problem = {
    status: 503,
    code: 'shutting_down',
    detail: 'The server is stopping.',
    correlation_id: 'corr-0003',
  };
  answer = asEvents(['delta', { text: 'Walls' }], ['error', problem]);
  const told = await ask('Why?', '--stream');
  expect(told.exitCode).toBe(1);
  expect(told.stderr).toContain('The server is stopping. (503, correlation id corr-0003)');

  answer = asEvents(['delta', { text: 'Walls' }]);
  const silent = await ask('Why?', '--stream');
  expect(silent.exitCode).toBe(1);
  expect(silent.stderr).toContain('broke off');
});
