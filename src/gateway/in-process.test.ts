import { describe, expect, it } from 'vitest';
import type { ModelPath } from '../../test/harness/model-path.ts';
import { modelPathSuite, onlyRow } from '../../test/harness/model-path-suite.ts';
import { permissionsOfRole } from '../access/index.ts';
import type { InProcessCaller } from './in-process.ts';

const { simulator, start, upstream, lastCall } = modelPathSuite();
const callerOf = (path: ModelPath, more: Partial<InProcessCaller> = {}): InProcessCaller => ({
  principal: path.principal,
  correlationId: 'question-0001',
  ...more,
});
const messages = [{ role: 'user' as const, content: 'Hello there' }];
const json = (reply: object) =>
  upstream((response) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(reply)),
  );

describe('a chat in process', () => {
  it('gives text, usage and cost, and leaves a ledger row', async () => {
    const path = await start();
    const answer = await path.gateway.models.chat(callerOf(path), {
      model: 'fast',
      messages,
      maxTokens: 50,
      temperature: 0,
    });
    expect(answer).toMatchObject({
      text: expect.stringContaining('Hello there'),
      finishReason: 'stop',
      pricing: 'priced',
      generatedBy: { tier: 'primary', provider: 'sim', model: 'gpt-4o-mini' },
    });
    const row = await onlyRow(path);
    expect(row).toMatchObject({ correlation_id: 'question-0001', streamed: false, status: 'ok' });
    expect(String(answer.costNanoUsd)).toBe(row?.cost_nano_usd);
    expect(JSON.parse(lastCall()?.requestBody ?? '')).toMatchObject({
      model: 'gpt-4o-mini',
      max_tokens: 50,
      temperature: 0,
    });
  });

  it('streams its text, and the pieces are the whole', async () => {
    const path = await start();
    const pieces: string[] = [];
    const answer = await path.gateway.models.chat(callerOf(path), { model: 'fast', messages }, (text) =>
      pieces.push(text),
    );
    expect(pieces.length).toBeGreaterThan(3);
    expect(pieces.join('')).toBe(answer.text);
    expect(answer.finishReason).toBe('stop');
    expect(await onlyRow(path)).toMatchObject({
      streamed: true,
      raw_usage: lastCall()?.usage,
      estimated: false,
    });
  });

  it('throws what broke a stream', async () => {
    const path = await start();
    simulator.setFault({ kind: 'cut-mid-stream', afterChunks: 2 });
    const pieces: string[] = [];
    const chat = path.gateway.models.chat(callerOf(path), { model: 'fast', messages }, (text) =>
      pieces.push(text),
    );
    await expect(chat).rejects.toMatchObject({ code: 'upstream_failed' });
    expect(pieces.length).toBeGreaterThan(0);
    expect(await onlyRow(path)).toMatchObject({ status: 'error', estimated: true });
  });

  it('throws the provider’s reason when it refuses the request', async () => {
    const path = await start();
    await expect(
      path.gateway.models.chat(callerOf(path), { model: 'fast', messages: [] }),
    ).rejects.toMatchObject({
      code: 'upstream_rejected',
      message: expect.stringContaining("'messages' must be a list"),
    });
  });

  it('ends with its signal', async () => {
    const path = await start();
    simulator.setFault({ kind: 'hang-before-headers' });
    const leaving = new AbortController();
    const chat = path.gateway.models.chat(callerOf(path, { signal: leaving.signal }), {
      model: 'fast',
      messages,
    });
    const ended = expect(chat).rejects.toMatchObject({ code: 'client_gone' });
    await simulator.waitForCall((call) => call.fault === 'hang-before-headers');
    leaving.abort();
    await ended;
    await simulator.waitForCall((call) => call.aborted);
    const late = path.gateway.models.chat(callerOf(path, { signal: leaving.signal }), {
      model: 'fast',
      messages,
    });
    await expect(late).rejects.toMatchObject({ code: 'client_gone' });
  });

  it('needs the permission to ask questions', async () => {
    const path = await start();
    const principal = { ...path.principal, permissions: new Set(permissionsOfRole.viewer) };
    const chat = path.gateway.models.chat(callerOf(path, { principal }), { model: 'fast', messages });
    await expect(chat).rejects.toMatchObject({ code: 'forbidden' });
    expect(simulator.calls()).toEqual([]);
  });
});

describe('embedding in process', () => {
  const texts = Array.from({ length: 250 }, (_, n) => `text number ${n}`);

  it('gives a vector for each text in bounded batches, each a call of its own', async () => {
    const path = await start();
    const request = { model: 'sim/text-embedding-3-small', inputs: texts, dimensions: 64 };
    const { vectors, model, usage, costNanoUsd } = await path.gateway.models.embed(callerOf(path), request);
    expect(vectors).toHaveLength(250);
    expect(vectors.every((vector) => vector.length === 64)).toBe(true);
    expect(model).toBe('text-embedding-3-small');
    const rows = await path.ledger();
    expect(rows).toHaveLength(3);
    expect(usage.inputTokens).toBe(rows.reduce((total, row) => total + Number(row.input_tokens), 0));
    expect(costNanoUsd).toBe(rows.reduce((total, row) => total + BigInt(String(row.cost_nano_usd)), 0n));

    // The same text has the same vector, wherever it stood in its batch.
    const again = await path.gateway.models.embed(callerOf(path), {
      ...request,
      inputs: texts.slice(130, 132),
    });
    expect(again.vectors).toEqual(vectors.slice(130, 132));
  });

  it('reads vectors by their index, as numbers or in base64', async () => {
    const base64 = Buffer.from(Float32Array.of(0.5, -2).buffer).toString('base64');
    const data = [
      { index: 1, embedding: [1, 2] },
      { index: 0, embedding: base64 },
    ];
    const raw = await json({ data, usage: { prompt_tokens: 2 }, model: 'm' });
    const path = await start({ providers: { sim: raw.url } });
    const { vectors, costNanoUsd } = await path.gateway.models.embed(callerOf(path), {
      model: 'sim/m',
      inputs: ['a', 'b'],
    });
    expect(vectors).toEqual([Float32Array.of(0.5, -2), Float32Array.of(1, 2)]);
    expect(costNanoUsd).toBeNull();
  });

  it.each([
    ['too few', [{ index: 0, embedding: [1, 2] }]],
    ['one that is no numbers', [{ embedding: [1, 2] }, { embedding: [1, 'x'] }]],
    ['two lengths', [{ embedding: [1, 2] }, { embedding: [1, 2, 3] }]],
    ['empty ones', [{ embedding: [] }, { embedding: [] }]],
  ])('refuses %s', async (_name, data) => {
    const raw = await json({ data, usage: { prompt_tokens: 2 } });
    const path = await start({ providers: { sim: raw.url } });
    const embed = path.gateway.models.embed(callerOf(path), { model: 'sim/m', inputs: ['a', 'b'] });
    await expect(embed).rejects.toMatchObject({ code: 'upstream_failed' });
  });

  it('is for those who ask questions and those who write documents', async () => {
    const path = await start();
    const embed = (permissions: Set<never>) =>
      path.gateway.models.embed(callerOf(path, { principal: { ...path.principal, permissions } }), {
        model: 'sim/text-embedding-3-small',
        inputs: ['a'],
      });
    expect((await embed(new Set(['documents:write']) as Set<never>)).vectors).toHaveLength(1);
    await expect(embed(new Set())).rejects.toMatchObject({ code: 'forbidden' });
  });
});
