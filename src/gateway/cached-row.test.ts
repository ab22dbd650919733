import { describe, expect, it } from 'vitest';
import { hello, modelPathSuite, onlyRow, post } from '../../test/harness/model-path-suite.ts';
import { noUsage } from '../costs/index.ts';
import type { AnswerCache } from './hooks.ts';

const { simulator, start } = modelPathSuite();

const reply = {
  streamed: false,
  contentType: 'application/json',
  headers: {},
  body: Buffer.from('{"choices":[]}'),
  generatedBy: { tier: 'primary', provider: 'sim', model: 'gpt-4o-mini' },
  usage: { ...noUsage, inputTokens: 1_000, outputTokens: 10 },
  costNanoUsd: 156_000n,
  storedAtMs: 0,
};

function cacheOf(given: { known?: typeof reply; stale?: typeof reply }): AnswerCache {
  return {
    open: () => ({
      known: given.known ?? null,
      headers: {},
      maxBytes: 0,
      keep: () => {},
      release: () => {},
      releaseAll: () => {},
      stale: () => given.stale ?? null,
    }),
  };
}

describe('an answer from the cache', () => {
  it('is a call of its own in the ledger: free, without tokens, and with what it saved', async () => {
    const path = await start({ hooks: { cache: cacheOf({ known: reply }) } });
    const response = await post(path, hello);
    expect(response.headers.get('x-gatehouse-generated-by')).toContain('tier=cached');
    const row = await onlyRow(path);
    expect(row).toMatchObject({
      tier: 'cached',
      provider: 'sim',
      model: 'gpt-4o-mini',
      status: 'ok',
      final: true,
      attempt: 0,
      attempts: 0,
      pricing_state: 'free',
      cost_nano_usd: '0',
      saved_nano_usd: '156000',
      input_tokens: 0,
      output_tokens: 0,
    });
    expect(row?.call_id).toBe(row?.id);
    expect(simulator.calls()).toEqual([]);
  });

  it('past its time is given when every target is at its limit', async () => {
    const path = await start({ hooks: { cache: cacheOf({ stale: reply }) } });
    simulator.setFault({ kind: 'rate-limited', retryAfterS: 60 });
    for (let n = 0; n < 2; n++) expect(await (await post(path, hello)).text()).toBe('{"choices":[]}');
    expect(simulator.calls()).toHaveLength(1);
  });
});
