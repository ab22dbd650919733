import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sealCall, sealReasoning, unseal } from './openai-responses-seal.ts';

describe('what is sealed into a reasoning item', () => {
  it('comes back as it went, and nothing else does', () => {
    fc.assert(
      fc.property(fc.string(), fc.string({ minLength: 1 }), (signature, callId) => {
        const google = { google: { thoughtSignature: signature } };
        expect(unseal(sealReasoning({ anthropic: { signature, cost: 1 } }))?.reasoning).toEqual({
          anthropic: { signature },
        });
        expect(unseal(sealCall(callId, google))?.calls.get(callId)).toEqual(google);
      }),
    );
    expect(sealReasoning({ anthropic: { cost: 1 } })).toBeNull();
    expect(sealCall('a', undefined)).toBeNull();
    for (const foreign of [undefined, 7, 'gAAAA', 'gh1.', 'gh1.!!', 'gh1.bnVsbA']) {
      const opened = unseal(foreign);
      expect([opened?.reasoning, opened?.calls.size ?? 0]).toEqual([undefined, 0]);
    }
    const options = Buffer.from(JSON.stringify({ reasoning: { format: 'made-up', signature: 's' } }));
    expect(unseal(`gh1.${options.toString('base64url')}`)?.reasoning).toBeUndefined();
  });
});
