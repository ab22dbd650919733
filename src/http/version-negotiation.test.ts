import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AppError } from '../platform/errors.ts';
import { acceptedVersions, negotiate, type Wishes } from './version-negotiation.ts';

const offer = { versions: ['1', '2'], byDefault: '1' };
const answer = (wishes: Partial<Wishes>) =>
  negotiate({ path: null, header: undefined, accept: undefined, ...wishes }, offer);
const refusal = (wishes: Partial<Wishes>): string => {
  try {
    return `answered in ${answer(wishes)}`;
  } catch (error) {
    if (error instanceof AppError && error.code === 'bad_request') return error.message;
    throw error;
  }
};

describe('which version answers', () => {
  it('is the default where nobody says anything, and what path, header or Accept say', () => {
    expect(answer({})).toBe('1');
    expect(answer({ path: '2' })).toBe('2');
    expect(answer({ header: '2' })).toBe('2');
    expect(answer({ header: 'v2' })).toBe('2');
    expect(answer({ accept: 'application/json;version=2' })).toBe('2');
    expect(answer({ accept: 'text/html, application/json; version="2"; q=0.5' })).toBe('2');
  });

  it('is what all of them allow', () => {
    expect(answer({ path: '2', header: 'v2', accept: 'application/json;version=2' })).toBe('2');
    expect(
      answer({ path: '1', accept: 'application/json;version=2, application/json;version=1;q=0.1' }),
    ).toBe('1');
    expect(answer({ accept: 'application/json;version=9, application/json;version=2;q=0.1' })).toBe('2');
    expect(answer({ path: '2', accept: 'application/json' })).toBe('2');
  });

  it('goes by preference in Accept, and leaves out what is not wanted at all', () => {
    const accept =
      'application/json;version=1;q=0.2, application/problem+json;version=2;q=0.9, */*;version=3;q=0';
    expect(acceptedVersions(accept)).toEqual(['2', '1']);
    expect(answer({ accept })).toBe('2');
  });

  it('does not take the version of another type for its own', () => {
    const monitor = 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';
    expect(acceptedVersions(monitor)).toEqual([]);
    expect(answer({ accept: monitor })).toBe('1');
  });

  it('is refused where it is not offered, with what is', () => {
    for (const wishes of [
      { path: '3' },
      { header: '3' },
      { header: '2, 1' },
      { header: '1.0' },
      { accept: 'application/json;version=3' },
    ]) {
      expect(refusal(wishes)).toMatch(/which there is not\. Offered are versions 1 and 2\.$/);
    }
  });

  it('is refused where wishes differ', () => {
    expect(refusal({ path: '1', header: '2' })).toMatch(/path asks for version 1 and X-API-Version for 2/);
    expect(refusal({ path: '1', accept: 'application/json;version=2' })).toMatch(
      /Accept asks for version "2"/,
    );
    expect(refusal({ header: '1', accept: 'application/json;version=2' })).toMatch(/Offered are versions/);
  });

  it('is always one that is offered and that no wish speaks against, or a refusal', () => {
    const wish = fc.option(fc.constantFrom('1', '2', '3'), { nil: null });
    fc.assert(
      fc.property(wish, wish, wish, (path, header, accept) => {
        const wishes = {
          path,
          header: header ?? undefined,
          accept: accept === null ? undefined : `application/json;version=${accept}`,
        };
        const said = [path, header, accept].filter((one) => one !== null);
        const agreed = new Set(said).size <= 1 && said.every((one) => offer.versions.includes(one));
        expect(refusal(wishes).startsWith('answered in ')).toBe(agreed);
        if (agreed) expect(answer(wishes)).toBe(said[0] ?? '1');
      }),
    );
  });
});
