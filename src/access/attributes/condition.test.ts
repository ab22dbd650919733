import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { asksForNoGroup, attributes, condition, metadata } from '../../../test/harness/conditions.ts';
import { readCondition } from './condition.ts';
import { compileCondition } from './condition-path.ts';
import { documentAbility } from './document-ability.ts';

const read = (given: unknown) => readCondition(given, 'condition');

describe('reading a condition', () => {
  it('brings negations to the comparisons that they are of', () => {
    expect(
      read({
        $not: { $and: [{ owner: 'a' }, { $or: [{ 'metadata.n': { $lt: 2 } }, { $not: { owner: 'b' } }] }] },
      }),
    ).toEqual({
      $or: [{ owner: { $ne: 'a' } }, { $and: [{ 'metadata.n': { $gte: 2 } }, { owner: { $eq: 'b' } }] }],
    });
    expect(read({ $not: { 'metadata.a': { $exists: true, $nin: ['x'] }, owner: 'y' } })).toEqual({
      $or: [
        { $or: [{ 'metadata.a': { $exists: false } }, { 'metadata.a': { $in: ['x'] } }] },
        { owner: { $ne: 'y' } },
      ],
    });
  });

  it('names the place of what it cannot read', () => {
    expect(() => read({ $or: [{ owner: 'x' }, { 'metadata.a': { $like: '%' } }] })).toThrow(
      expect.objectContaining({
        code: 'invalid',
        errors: [{ path: 'condition.$or.1.metadata.a.$like', message: expect.stringContaining('$exists') }],
      }),
    );
  });
});

describe('a compiled condition', () => {
  it('is a path in which texts are texts, and nothing is negated but a list', () => {
    const given = {
      'metadata.a"b': { $ne: '" || true' },
      created_at: { $gt: { $now: -60 }, $lte: { $now: 0 } },
      $not: { 'metadata.n': { $in: [-1, 2] } },
      $or: [{ 'metadata.team': { $in: { $reader: 'groups' } } }, { 'metadata.team': { $exists: false } }],
    };
    expect(compileCondition(read(given))).toEqual({
      path: [
        String.raw`strict (($."metadata"."a\"b" != "\" || true")`,
        '(($."created_at" > $now."-60") && ($."created_at" <= $now."0"))',
        '(exists($."metadata"."n") && !($."metadata"."n" == (-1) || $."metadata"."n" == 2))',
        '(($."metadata"."team" == $reader."groups"[*]) || (exists($."metadata"."team")) is unknown))',
      ].join(' && '),
      times: [-60, 0],
    });
  });
});

describe('the rule in memory', () => {
  const document = {
    owner: 'user:a',
    created_at: '2026-01-01T00:00:00.000Z',
    metadata: { level: 2, team: 'x' },
  };
  const reads = (given: unknown, reader = {}) =>
    documentAbility(read(given)).can('read', { document, reader, nowMs: Date.parse('2026-01-02T00:00:00Z') });

  it('is true of nothing that is missing or of another kind, negated or not', () => {
    for (const test of [{ $eq: { $reader: 'x' } }, { $lt: { $reader: 'x' } }, { $in: { $reader: 'x' } }]) {
      for (const field of ['metadata.level', 'metadata.absent']) {
        for (const reader of [{}, { x: '2' }, { x: null }, { x: { a: 1 } }]) {
          expect(reads({ [field]: test }, reader)).toBe(false);
          expect(reads({ $not: { [field]: test } }, reader)).toBe(false);
        }
      }
    }
  });

  it('compares what is there', () => {
    expect(reads({ 'metadata.level': { $lte: { $reader: 'x' } } }, { x: 2 })).toBe(true);
    expect(reads({ $not: { 'metadata.level': { $lte: { $reader: 'x' } } } }, { x: 1 })).toBe(true);
    expect(reads({ 'metadata.team': { $in: { $reader: 'x' } } }, { x: ['y', 'x'] })).toBe(true);
    expect(reads({ 'metadata.team': { $nin: { $reader: 'x' } } }, { x: [] })).toBe(true);
    expect(reads({ created_at: { $lt: { $now: 0 }, $gt: { $now: -172_800 } } })).toBe(true);
    expect(reads({ created_at: { $lt: { $now: -172_800 } } })).toBe(false);
  });

  it('never opens more to a reader of whom less is known, which is what delegation counts on', () => {
    const groups = fc.subarray(['eu', 'us', 'é']);
    let opened = 0;
    fc.assert(
      fc.property(condition, attributes, groups, metadata, fc.infiniteStream(fc.boolean()), (...made) => {
        const [given, held, inGroups, said, keeps] = made;
        fc.pre(!asksForNoGroup(given));
        const ability = documentAbility(read(given));
        const about = { ...document, metadata: said };
        const readsAs = (reader: object) =>
          ability.can('read', {
            document: about,
            reader: { ...reader, id: 'user:a', role: 'clerk' },
            nowMs: Date.parse('2026-01-02T00:00:00Z'),
          });
        const fewer = Object.fromEntries(Object.entries(held).filter(() => keeps.next().value));
        if (!readsAs({ ...fewer, groups: inGroups.filter(() => keeps.next().value) })) return;
        if (JSON.stringify(given).includes('$reader')) opened++;
        expect(readsAs({ ...held, groups: inGroups })).toBe(true);
      }),
      { numRuns: 10_000 },
    );
    expect(opened).toBeGreaterThan(100);
  });
});
