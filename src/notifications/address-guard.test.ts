import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AddressGuard, createAddressGuard, isPublicAddress, RefusedAddress } from './address-guard.ts';

/** First and last address of what must never be reached, written out so that it is checked by other arithmetic. */
const closed4: readonly (readonly [string, string])[] = [
  ['0.0.0.0', '0.255.255.255'],
  ['10.0.0.0', '10.255.255.255'],
  ['100.64.0.0', '100.127.255.255'],
  ['127.0.0.0', '127.255.255.255'],
  ['168.63.129.16', '168.63.129.16'],
  ['169.254.0.0', '169.254.255.255'],
  ['172.16.0.0', '172.31.255.255'],
  ['192.0.0.0', '192.0.0.255'],
  ['192.0.2.0', '192.0.2.255'],
  ['192.88.99.0', '192.88.99.255'],
  ['192.168.0.0', '192.168.255.255'],
  ['198.18.0.0', '198.19.255.255'],
  ['198.51.100.0', '198.51.100.255'],
  ['203.0.113.0', '203.0.113.255'],
  ['224.0.0.0', '255.255.255.255'],
];
const number4 = (text: string) => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
const text4 = (n: number) => [24, 16, 8, 0].map((shift) => Math.floor(n / 2 ** shift) % 256).join('.');
const isClosed4 = (n: number) => closed4.some(([from, to]) => n >= number4(from) && n <= number4(to));
const any4 = fc.nat({ max: 2 ** 32 - 1 });
const closed = fc
  .constantFrom(...closed4)
  .chain(([from, to]) => fc.integer({ min: number4(from), max: number4(to) }));
const hex4 = (n: number) => `${(n >>> 16).toString(16)}:${(n & 0xffff).toString(16)}`;

describe('a public address', () => {
  it('is any IPv4 address outside the closed ranges, to their very ends', () => {
    fc.assert(fc.property(any4, (n) => isPublicAddress(text4(n)) === !isClosed4(n)));
    fc.assert(fc.property(closed, (n) => !isPublicAddress(text4(n))));
    for (const [from, to] of closed4) {
      expect([from, isPublicAddress(from)]).toEqual([from, false]);
      expect([to, isPublicAddress(to)]).toEqual([to, false]);
      for (const beside of [number4(from) - 1, number4(to) + 1]) {
        if (beside < 0 || beside >= 2 ** 32 || isClosed4(beside)) continue;
        expect([text4(beside), isPublicAddress(text4(beside))]).toEqual([text4(beside), true]);
      }
    }
  });

  it('is never an IPv4 address in the clothes of IPv6, be it public or not', () => {
    const clothes = [
      (n: number) => `::${hex4(n)}`,
      (n: number) => `::ffff:${text4(n)}`,
      (n: number) => `::ffff:${hex4(n)}`,
      (n: number) => `::ffff:0:${hex4(n)}`,
      (n: number) => `64:ff9b::${hex4(n)}`,
      (n: number) => `64:ff9b:1::${hex4(n)}`,
      (n: number) => `2002:${hex4(n)}::1`,
      (n: number) => `2001:0:${hex4(n)}::1`,
      // Teredo hides the client's address by turning its bits round.
      (n: number) => `2001::${hex4(~n >>> 0)}`,
    ];
    fc.assert(
      fc.property(
        fc.oneof(any4, closed),
        fc.constantFrom(...clothes),
        (n, dress) => !isPublicAddress(dress(n)),
      ),
    );
  });

  it('is any IPv6 address of 2000::/3 but for the closed parts of it', () => {
    const word = fc.nat({ max: 0xffff });
    const beginning = fc.oneof(word, fc.constantFrom(0x2001, 0x2002, 0x2606, 0x3fff, 0x4000));
    fc.assert(
      fc.property(fc.tuple(beginning, word, word, word, word, word, word, word), (words) => {
        const [first, second] = words;
        const open =
          first >>> 13 === 1 &&
          !(first === 0x2001 && second < 0x200) &&
          !(first === 0x2001 && second === 0xdb8) &&
          first !== 0x2002 &&
          !(first === 0x3fff && second < 0x1000);
        return isPublicAddress(words.map((part) => part.toString(16)).join(':')) === open;
      }),
      { examples: [0, 0x1ff, 0x200, 0xdb8, 0xdb9].map((second) => [[0x2001, second, 0, 0, 0, 0, 0, 1]]) },
    );
  });

  it.each([
    ['8.8.8.8', true],
    ['1.1.1.1', true],
    ['2606:4700::1111', true],
    ['2a00:1450:4001:80b::200e', true],
    ['::1', false],
    ['::', false],
    ['fe80::1', false],
    ['fe80::1%eth0', false],
    ['2606:4700::1111%eth0', false],
    ['fc00::1', false],
    ['fd00:ec2::254', false],
    ['ff02::1', false],
    ['100.100.100.200', false],
    ['no address', false],
    ['', false],
  ])('%s: %s', (address, open) => {
    expect(isPublicAddress(address)).toBe(open);
  });
});

describe('a URL', () => {
  const guard = createAddressGuard([]);
  const objection = (url: string, by: AddressGuard = guard) => by.objectionTo(new URL(url));

  it.each([
    'https://hooks.example.com/in?token=1',
    'https://hooks.example.com:8443/',
    'https://8.8.8.8/',
    'https://[2606:4700::1111]/',
  ])('may be tried: %s', (url) => {
    expect(objection(url)).toBeNull();
  });

  it.each([
    ['http://hooks.example.com/', 'https'],
    ['ftp://hooks.example.com/', 'https'],
    ['file:///etc/passwd', 'https'],
    ['https://user:password@hooks.example.com/', 'credentials'],
    ['https://user@hooks.example.com/', 'credentials'],
    ['https://localhost/', 'private'],
    ['https://LOCALHOST./', 'private'],
    ['https://a.localhost/', 'private'],
    ['https://metadata.google.internal/', 'private'],
    ['https://printer.local/', 'private'],
    ['https://127.0.0.1/', 'private'],
    ['https://127.0.0.1./', 'private'],
    ['https://127.1/', 'private'],
    ['https://2130706433/', 'private'],
    ['https://0x7f.0.0.1/', 'private'],
    ['https://0177.0.0.1/', 'private'],
    ['https://１２７.0.0.1/', 'private'],
    ['https://10.1.2.3/', 'private'],
    ['https://172.31.255.255/', 'private'],
    ['https://192.168.0.1/', 'private'],
    ['https://169.254.169.254/latest/meta-data', 'private'],
    ['https://100.100.100.200/', 'private'],
    ['https://0.0.0.0/', 'private'],
    ['https://[::1]/', 'private'],
    ['https://[::]/', 'private'],
    ['https://[::ffff:8.8.8.8]/', 'private'],
    ['https://[::ffff:127.0.0.1]/', 'private'],
    ['https://[64:ff9b::7f00:1]/', 'private'],
    ['https://[fd00:ec2::254]/', 'private'],
    ['https://[fe80::1]/', 'private'],
    ['https://[ff02::1]/', 'private'],
    ['https://[2002:7f00:1::]/', 'private'],
  ])('is refused: %s', (url, why) => {
    expect(objection(url)).toContain(why);
  });

  it('may be what the operator allows, and nothing beside it', () => {
    const allowing = createAddressGuard(['127.0.0.0/8', '10.1.2.3', 'Hooks.Internal', 'fd00:1::/64']);
    for (const url of [
      'http://127.0.0.1:9000/',
      'https://127.9.9.9/',
      'http://10.1.2.3/',
      'http://hooks.internal/',
      'https://hooks.internal./x',
      'http://[fd00:1::5]/',
      'https://elsewhere.example.com/',
    ]) {
      expect([url, objection(url, allowing)]).toEqual([url, null]);
    }
    for (const url of [
      'http://10.1.2.4/',
      'https://10.1.2.4/',
      'http://hooks.example.com/',
      'https://other.internal/',
      'https://[fd00:2::5]/',
      'https://a:b@hooks.internal/',
    ]) {
      expect([url, objection(url, allowing)]).toEqual([url, expect.any(String)]);
    }
  });
});

describe('a name', () => {
  const looked = (guard: AddressGuard, name: string, all = true) =>
    new Promise((resolve, reject) => {
      guard.lookup(name, { all }, (error, address) => (error ? reject(error) : resolve(address)));
    });
  const leadingTo = (addresses: readonly string[], allowed: readonly string[] = []) =>
    createAddressGuard(allowed, (_name, _options, callback) =>
      callback(
        null,
        addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      ),
    );

  it('is judged by every address that it leads to, at the moment of connecting', async () => {
    expect(await looked(leadingTo(['8.8.8.8']), 'a.test', false)).toBe('8.8.8.8');
    expect(await looked(leadingTo(['8.8.8.8', '2606:4700::1']), 'a.test')).toHaveLength(2);
    await expect(looked(leadingTo(['8.8.8.8', '127.0.0.1']), 'a.test')).rejects.toThrow(RefusedAddress);
    await expect(looked(leadingTo(['::ffff:169.254.169.254']), 'a.test')).rejects.toThrow(RefusedAddress);
    await expect(looked(leadingTo([]), 'a.test')).rejects.toThrow('no address');
  });

  it('that changes its meaning is refused when it does', async () => {
    const meanings = [['93.184.215.14'], ['169.254.169.254']];
    const guard = createAddressGuard([], (_name, _options, callback) =>
      callback(
        null,
        (meanings.shift() ?? []).map((address) => ({ address, family: 4 })),
      ),
    );
    await expect(looked(guard, 'rebinding.test')).resolves.toHaveLength(1);
    await expect(looked(guard, 'rebinding.test')).rejects.toThrow(RefusedAddress);
  });

  it('may lead where the operator allows', async () => {
    const allowed = ['10.0.0.0/8', 'by-name.test'];
    await expect(looked(leadingTo(['10.9.9.9', '8.8.8.8'], allowed), 'a.test')).resolves.toHaveLength(2);
    await expect(looked(leadingTo(['192.168.0.1'], allowed), 'a.test')).rejects.toThrow(RefusedAddress);
    await expect(looked(leadingTo(['192.168.0.1'], allowed), 'By-Name.test.')).resolves.toHaveLength(1);
  });

  it('does not lead anywhere by chance: one closed address among any others is enough', async () => {
    const addresses = fc.array(fc.nat({ max: 2 ** 32 - 1 }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(addresses, fc.option(closed, { nil: null }), fc.nat(), async (open, bad, at) => {
        const numbers = bad === null ? open : open.toSpliced(at % (open.length + 1), 0, bad);
        const outcome = await looked(leadingTo(numbers.map(text4)), 'a.test').then(
          () => true,
          () => false,
        );
        expect(outcome).toBe(!numbers.some(isClosed4));
      }),
    );
  });
});
