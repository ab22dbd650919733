import { describe, expect, it } from 'vitest';
import { createLog } from '../platform/log.ts';
import { noSecretReferences } from '../platform/secret-references/index.ts';
import { createEnvironmentProviders } from './open-environment-providers.ts';
import { environmentProvider } from './routing-rows.ts';

const provider = (name: string, apiKey: string) =>
  environmentProvider({ name, kind: 'openai', baseUrl: 'https://api.example.com/v1', apiKey });

describe('a provider of the environment', () => {
  it('has the key that is kept elsewhere now, and stays the same while that does', async () => {
    const held = new Map([['file:/run/secrets/openai', 'sk-test-first']]);
    const open = createEnvironmentProviders(
      [provider('whole', 'sk-test'), provider('kept', 'file:/run/secrets/openai')],
      {
        references: { resolve: async (name) => held.get(name) ?? noSecretReferences.resolve(name) },
        log: createLog('silent'),
      },
    );
    const valuesOf = (providers: Awaited<ReturnType<typeof open>>) =>
      providers.map(({ keys }) => keys[0]?.value);
    const first = await open();
    expect(valuesOf(first)).toEqual(['sk-test', 'sk-test-first']);
    expect(first[1]?.keys[0]?.reference).toBe('file:/run/secrets/openai');
    const again = await open();
    expect(again.map((one, i) => one === first[i])).toEqual([true, true]);
    held.set('file:/run/secrets/openai', 'sk-test-second');
    const rotated = await open();
    expect(valuesOf(rotated)).toEqual(['sk-test', 'sk-test-second']);
    expect(rotated[0]).toBe(first[0]);
    held.clear();
    const gone = await open();
    expect(gone[1]).toMatchObject({
      keys: [],
      keyProblem: expect.stringContaining('file:/run/secrets/openai'),
    });
    expect((await open())[1]).toBe(gone[1]);
    held.set('file:/run/secrets/openai', 'sk-test-third');
    expect(valuesOf(await open())).toEqual(['sk-test', 'sk-test-third']);
  });
});
