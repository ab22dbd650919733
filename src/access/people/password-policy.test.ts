import { dictionary } from '@zxcvbn-ts/language-common';
import { describe, expect, it } from 'vitest';
import { createPasswordPolicy } from './password-policy.ts';

const policy = createPasswordPolicy();
const about = ['ada.lovelace@analytical.example', 'Ada Lovelace', 'gatehouse'];
/** @returns what is wrong with it; null when it may be set. */
const objection = (password: string): string | null => {
  try {
    policy(password, about);
    return null;
  } catch (error) {
    expect(error).toMatchObject({ code: 'invalid', errors: [{ path: 'password' }] });
    return (error as Error).message;
  }
};

describe('a password that may be set', () => {
  it.each([
    'velvet harbour oxide lantern',
    'velvetharbouroxidelantern',
    'VELVET HARBOUR OXIDE LANTERN',
    '71930582641957',
    'пароль лежит под камнем у реки',
    '天地玄黃宇宙洪荒日月盈昃',
    ' velvet harbour oxide ',
    '🦊🏔️🥁🎻🧭🪁🦜🌾🥨🧵🔭🪵',
    `velvet harbour oxide lantern ${'copper thimble '.repeat(12)}`.slice(0, 200),
  ])('needs no kinds of characters, and has up to 200: %s', (password) => {
    expect(objection(password)).toBeNull();
  });
});

describe('a password that may not', () => {
  it('is shorter than twelve characters or longer than 200', () => {
    expect(objection('vel-ox-lant')).toMatch(/at least 12/);
    expect(objection('vel-ox-lant7')).toBeNull();
    expect(objection('velvet harbour oxide lantern '.repeat(7))).toMatch(/at most 200/);
  });

  it('is one of the 49,233 most common that are long enough', () => {
    const common = (dictionary['passwords-common'] as readonly string[]).filter(({ length }) => length >= 12);
    expect(common.length).toBeGreaterThan(300);
    expect(common.filter((password) => objection(password) === null)).toEqual([]);
    // Hundreds of estimates, on machines that are busy with other tests.
  }, 60_000);

  it.each([
    'Ada Lovelace',
    'ada.lovelace@analytical.example',
    'analytical.example',
    'ecalevoL adA 1',
    'Gatehouse2026!',
    'gatehousegatehouse',
    'l0velace-2026',
  ])('is made of what is known about its user or of the name of the product: %s', (password) => {
    expect(objection(password)).toMatch(/easy to guess/);
  });

  it.each(['aaaaaaaaaaaaaaaa', 'qwertyuiopasdf', 'abcdefghijklmnop', 'passwordpassword', '123456789012345'])(
    'is a pattern: %s',
    (password) => {
      expect(objection(password)).toMatch(/easy to guess/);
    },
  );

  it('is told without being repeated', () => {
    for (const password of ['Gatehouse2026!', 'short']) expect(objection(password)).not.toContain(password);
  });
});
