import Anthropic from '@anthropic-ai/sdk';
import { describe, expect, it } from 'vitest';
import { anthropicClientSuite, hello, weather } from '../../test/harness/anthropic-client.ts';
import { gathered } from '../../test/harness/model-path-suite.ts';

const { start, startOn, clientOf, simulator } = anthropicClientSuite();

describe('errors of ours, in the shape of Anthropic’s API', () => {
  it('are known by the official client', async () => {
    const path = await startOn('openai');
    const client = clientOf(path);
    const unknown = await client.messages
      .create({ ...hello, model: 'nope' })
      .catch((error: unknown) => error);
    expect(unknown).toBeInstanceOf(Anthropic.NotFoundError);
    expect(unknown).toMatchObject({
      type: 'not_found_error',
      errorCode: 'model_not_found',
      message: expect.stringContaining('Available: fast, openai/<model>'),
      requestID: expect.stringMatching(/.+/),
    });
    expect(await path.ledger()).toEqual([]);
  });

  it('name every field that cannot be carried, and nothing is sent', async () => {
    const path = await startOn('openai');
    const asked = {
      ...hello,
      container: 'container_1',
      service_tier: 'standard_only' as const,
      metadata: { user_id: 'u1' },
      inference_geo: 'eu',
      tools: [weather, { type: 'web_search_20250305' as const, name: 'web_search' as const }],
      messages: [
        {
          role: 'user' as const,
          content: [
            {
              type: 'document' as const,
              source: { type: 'text' as const, media_type: 'text/plain' as const, data: 'x' },
              citations: { enabled: true },
            },
          ],
        },
      ],
    };
    const refused = await clientOf(path)
      .messages.create(asked)
      .catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(Anthropic.UnprocessableEntityError);
    const { details } = refused as { details?: { errors?: { path: string }[] } };
    expect(details?.errors?.map(({ path: field }) => field).sort()).toEqual([
      'container',
      'inference_geo',
      'messages.0.content.0.citations.enabled',
      'tools.1.type',
    ]);
    expect(simulator.totals().calls).toBe(0);
  });

  it('have one shape whatever is wrong with the request', async () => {
    const path = await startOn('anthropic');
    const headers = { 'content-type': 'application/json' };
    const cases: [string, RequestInit, number, string][] = [
      ['/v1/messages', { method: 'POST', headers, body: '{"model":' }, 400, 'invalid_request_error'],
      ['/v1/messages', { method: 'POST', headers, body: '{"model":"fast"}' }, 400, 'invalid_request_error'],
      ['/v1/messages', { method: 'POST', body: 'hello' }, 415, 'invalid_request_error'],
      ['/v1/messages', { method: 'GET' }, 404, 'not_found_error'],
      ['/v1/messages/batches', { method: 'POST', headers, body: '{}' }, 404, 'not_found_error'],
      [
        '/v1/messages/count_tokens',
        { method: 'POST', headers, body: Buffer.alloc(21 * 1024 * 1024, ' ') },
        413,
        'request_too_large',
      ],
    ];
    for (const [url, init, status, type] of cases) {
      const response = await fetch(path.url + url, init);
      const body = await response.json();
      expect({ url, status: response.status, body }).toMatchObject({
        url,
        status,
        body: { type: 'error', error: { type, message: expect.any(String) } },
      });
      expect(response.headers.get('request-id')).toBe((body as { request_id: string }).request_id);
    }
  });

  it('are tried again by the client, as Anthropic’s own are', async () => {
    const path = await startOn('anthropic');
    simulator.setFault({ kind: 'server-error', times: 1 });
    const answered = await clientOf(path, 1).messages.create(hello);
    expect(answered.stop_reason).toBe('end_turn');
  });
});

describe('the list of models', () => {
  it('is in the form of the client that asks', async () => {
    const routes = Object.fromEntries(
      ['a', 'b', 'c'].map((name) => [name, [[{ provider: 'sim', model: 'gpt-4o-mini' }]]]),
    );
    const path = await start({ routes });
    const client = clientOf(path);
    const pages = await gathered(client.models.list({ limit: 2 }));
    expect(pages).toMatchObject([
      { type: 'model', id: 'c', display_name: 'c', created_at: '2026-01-01T00:00:00.002Z' },
      { type: 'model', id: 'b' },
      { type: 'model', id: 'a' },
    ]);
    const back = await client.models.list({ before_id: 'a', limit: 1 });
    expect(back).toMatchObject({ data: [{ id: 'b' }], has_more: true });
    expect(await client.models.retrieve('b')).toMatchObject({ type: 'model', id: 'b' });
    await expect(client.models.retrieve('z')).rejects.toBeInstanceOf(Anthropic.NotFoundError);
    const plain = await fetch(`${path.url}/v1/models`);
    expect(await plain.json()).toMatchObject({
      object: 'list',
      data: [{ id: 'c', object: 'model' }, {}, {}],
    });
  });
});
