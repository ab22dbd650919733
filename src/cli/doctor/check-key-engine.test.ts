import { describe, expect, it } from 'vitest';
import { missingEngines } from './check-key-engine.ts';

describe('what doctor says of what wraps data keys', () => {
  it('names each key that stored secrets need and that no engine here holds', () => {
    const inUse = [
      'aws:arn:aws:kms:eu-central-1:111122223333:key/test',
      'local:0123456789abcdef',
      'vault:transit/gatehouse#2',
    ];
    expect(
      missingEngines(inUse, [{ engine: 'vault' }]).map(({ status, detail }) => [status, detail]),
    ).toEqual([['problem', expect.stringContaining('key/test')]]);
    expect(missingEngines(inUse, [{ engine: 'vault' }, { engine: 'aws' }])).toEqual([]);
  });
});
