import { isIPv4, isIPv6, SocketAddress } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ipAddressOf, ipRangeOf } from './ip-address.ts';

const ipv4 = fc.ipV4();
const ipv6 = fc.ipV6();

describe('an address', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1', '192.0.2.1'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1', '2001:db8::/64'],
    ['2001:db8:0:1:2:3:4:5', '2001:db8:0:1:2:3:4:5', '2001:db8:0:1::/64'],
    ['2001:0db8:00a0:0b00:0:0:0:1', '2001:db8:a0:b00::1', '2001:db8:a0:b00::/64'],
    ['::', '::', '::/64'],
    ['::1', '::1', '::/64'],
    ['0:0:0:5::7', '::5:0:0:0:7', '0:0:0:5::/64'],
    ['1:0:0:2:0:0:3:4', '1::2:0:0:3:4', '1:0:0:2::/64'],
    ['fe80::1%eth0', 'fe80::1', 'fe80::/64'],
    ['::ffff:192.0.2.1', '192.0.2.1', '192.0.2.1'],
    ['::FFFF:c000:0201', '192.0.2.1', '192.0.2.1'],
    ['0:0:0:0:0:ffff:192.0.2.1', '192.0.2.1', '192.0.2.1'],
    ['::192.0.2.1', '::c000:201', '::/64'],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201', '64:ff9b::/64'],
  ])('%s is %s of %s', (given, text, network) => {
    expect(ipAddressOf(given)).toMatchObject({ text, network });
  });

  it.each([
    '',
    ' 192.0.2.1',
    '192.0.2',
    '192.0.2.256',
    '192.0.2.01',
    '0x7f.1',
    '1',
    'localhost',
    '2001:db8::g',
    '1:2:3',
    '[::1]',
    '::1::',
    '192.0.2.1/8',
  ])('is not what "%s" is', (text) => {
    expect(ipAddressOf(text)).toBeNull();
  });

  it('has one spelling, which is the same address', () => {
    fc.assert(
      fc.property(ipv6, (given) => {
        const known = ipAddressOf(given);
        if (known === null) throw new Error('not read');
        expect(ipAddressOf(given.toUpperCase())).toEqual(known);
        expect(ipAddressOf(known.text)).toEqual(known);
        if (known.family === 'ipv4') return;
        expect(isIPv6(known.text)).toBe(true);
        // The system's own reading of both.
        const bySystem = (address: string) => new SocketAddress({ address, family: 'ipv6' }).address;
        expect(bySystem(known.text)).toBe(bySystem(given));
      }),
      { numRuns: 2_000 },
    );
  });

  it('of IPv6 shares its network with exactly those that share its first 64 bits', () => {
    const word = fc.integer({ min: 0, max: 0xffff });
    const half = fc.array(word, { minLength: 4, maxLength: 4 });
    const spelled = (words: readonly number[]) => words.map((each) => each.toString(16)).join(':');
    fc.assert(
      fc.property(half, half, half, half, (net, host, otherNet, otherHost) => {
        fc.pre(net.some((each) => each !== 0) && otherNet.some((each) => each !== 0));
        const network = (a: number[], b: number[]) => ipAddressOf(spelled([...a, ...b]))?.network;
        expect(network(net, host)).toBe(network(net, otherHost));
        expect(network(net, host) === network(otherNet, host)).toBe(spelled(net) === spelled(otherNet));
      }),
    );
  });

  it('of IPv4 is itself in whatever clothes', () => {
    fc.assert(
      fc.property(ipv4, (given) => {
        const known = { family: 'ipv4', text: given, network: given };
        expect(ipAddressOf(given)).toEqual(known);
        expect(ipAddressOf(`::ffff:${given}`)).toEqual(known);
      }),
    );
  });

  it('is never found in arbitrary text that the system does not take for one', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'0123456789abcdef:.%/[] ') }), (text) => {
        expect(ipAddressOf(text) !== null).toBe(isIPv4(text) || isIPv6(text));
      }),
      { numRuns: 5_000 },
    );
  });
});

describe('a range', () => {
  it.each([
    ['10.0.0.0/8', { family: 'ipv4', address: '10.0.0.0', prefix: 8 }],
    ['0.0.0.0/0', { family: 'ipv4', address: '0.0.0.0', prefix: 0 }],
    ['192.0.2.7', { family: 'ipv4', address: '192.0.2.7', prefix: 32 }],
    ['2001:DB8::/32', { family: 'ipv6', address: '2001:db8::', prefix: 32 }],
    ['::1', { family: 'ipv6', address: '::1', prefix: 128 }],
    ['::ffff:10.0.0.0/104', { family: 'ipv4', address: '10.0.0.0', prefix: 8 }],
  ])('is read from %s', (text, range) => {
    expect(ipRangeOf(text)).toEqual(range);
  });

  it.each([
    '',
    '/8',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    '10.0.0.0/8a',
    '2001:db8::/129',
    '::ffff:10.0.0.0/64',
    'fe80::1%eth0/64',
    'proxy.internal',
    '10.0.0.0/255.0.0.0',
  ])('is not what "%s" is', (text) => {
    expect(ipRangeOf(text)).toBeNull();
  });
});
