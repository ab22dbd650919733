import { expect, test } from 'vitest';
import { stem, stemsOf, termsOf } from './words.ts';

test('the common forms of a word meet in one stem', () => {
  for (const family of [
    ['refund', 'refunds', 'refunded', 'refunding'],
    ['approve', 'approves', 'approved', 'approving'],
    ['policy', 'policies'],
    ['plan', 'plans', 'planned', 'planning'],
    ['box', 'boxes'],
    ['employee', "employee's", 'employees'],
  ]) {
    expect(new Set(family.map(stem)), family.join()).toHaveLength(1);
  }
});

test('different words keep different stems', () => {
  expect(new Set(['need', 'bus', 'class', 'this', 'analysis', 'king', 'red'].map(stem))).toHaveLength(7);
});

test('terms leave the little words out, case and punctuation do not matter', () => {
  expect(termsOf('What is the Refund window, and for WHOM?')).toEqual(['refund', 'window']);
});

test('scripts without spaces are seen as pairs of characters', () => {
  expect(stemsOf('返金期間')).toEqual(['返金', '金期', '期間']);
});
