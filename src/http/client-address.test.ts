import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createClientAddress, noAddress } from './client-address.ts';

const from = (trusted: readonly string[], remoteAddress: string | undefined, forwarded?: string | string[]) =>
  createClientAddress(trusted)({ remoteAddress }, forwarded).network;

describe('without trusted proxies', () => {
  it('the connection’s address counts, whatever a header says', () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.oneof(fc.ipV4(), fc.ipV6(), fc.string()), (peer, said) => {
        expect(from([], peer, said)).toBe(peer);
      }),
    );
  });

  it('an IPv4 connection to an IPv6 socket is an IPv4 address, and IPv6 counts by its /64', () => {
    expect(from([], '::ffff:192.0.2.1')).toBe('192.0.2.1');
    expect(from([], '2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2::/64');
  });

  it('a connection that is gone has no address', () => {
    expect(from([], undefined, '192.0.2.1')).toBe(noAddress);
    expect(from(['0.0.0.0/0'], undefined, '192.0.2.1')).toBe(noAddress);
  });
});

describe('behind trusted proxies', () => {
  const trusted = ['10.0.0.0/8', '2001:db8:ffff::/48'];

  it.each([
    ['the client', '203.0.113.7', '203.0.113.7'],
    ['not what the client claimed before', '198.51.100.1, 203.0.113.7', '203.0.113.7'],
    ['through several proxies', '198.51.100.1,203.0.113.7, 10.2.0.1,10.3.0.1', '203.0.113.7'],
    ['through proxies of both kinds', '203.0.113.7, 2001:db8:ffff::1, 10.3.0.1', '203.0.113.7'],
    ['with a port', '203.0.113.7:51000', '203.0.113.7'],
    ['IPv6', '2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['IPv6 in brackets', '[2001:db8:1:2::9]', '2001:db8:1:2::/64'],
    ['IPv6 with a port', '[2001:db8:1:2::9]:51000', '2001:db8:1:2::/64'],
    ['IPv4 in clothes of IPv6', '::ffff:203.0.113.7', '203.0.113.7'],
    ['a proxy in clothes of IPv6', '203.0.113.7, ::ffff:10.9.9.9', '203.0.113.7'],
    ['the leftmost when all are trusted', '10.4.0.1, 10.3.0.1', '10.4.0.1'],
    ['the proxy when it says nothing', '', '10.0.0.1'],
    ['the proxy when it says nonsense', 'unknown', '10.0.0.1'],
    ['the last one that is an address', '203.0.113.7, unknown, 10.3.0.1', '10.3.0.1'],
    ['the last one that is an address, of empty ones', '203.0.113.7,, 10.3.0.1', '10.3.0.1'],
    ['nothing of names', 'evil.example', '10.0.0.1'],
    ['nothing of an obfuscated one', '_hidden', '10.0.0.1'],
    ['nothing of numbers', '3405803783', '10.0.0.1'],
    ['nothing of a range', '203.0.113.0/24', '10.0.0.1'],
  ])('it is %s', (_what, forwarded, client) => {
    expect(from(trusted, '10.0.0.1', forwarded)).toBe(client);
  });

  it('the header of a stranger is not read', () => {
    expect(from(trusted, '203.0.113.9', '198.51.100.1')).toBe('203.0.113.9');
    expect(from(trusted, '11.0.0.1', '10.0.0.1')).toBe('11.0.0.1');
  });

  it('several headers are one list', () => {
    expect(from(trusted, '10.0.0.1', ['198.51.100.1', '203.0.113.7, 10.3.0.1'])).toBe('203.0.113.7');
  });

  it('no more than 32 hops are followed', () => {
    const proxies = Array.from({ length: 40 }, (_none, hop) => `10.7.0.${hop}`);
    expect(from(trusted, '10.0.0.1', `203.0.113.7, ${proxies.join(', ')}`)).toBe('10.7.0.8');
  });

  it('nobody chooses their address, whatever they claim before the first proxy', () => {
    const claim = fc.array(
      fc.oneof(fc.ipV4(), fc.ipV6(), fc.constant('10.1.1.1'), fc.constant(''), fc.string({ maxLength: 20 })),
      { maxLength: 8 },
    );
    const proxy = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255)).map((rest) => `10.${rest.join('.')}`);
    const stranger = fc.ipV4().filter((address) => !address.startsWith('10.'));
    fc.assert(
      fc.property(claim, stranger, fc.array(proxy, { maxLength: 4 }), proxy, (claimed, client, way, peer) => {
        // Every proxy adds whom it was called by.
        const forwarded = [...claimed, client, ...way].join(', ');
        expect(from(['10.0.0.0/8'], peer, forwarded)).toBe(client);
      }),
      { numRuns: 2_000 },
    );
  });
});

it('a connection is understood once, and its header each time', () => {
  const addressIn = createClientAddress(['10.0.0.1']);
  const addressOf = (...given: Parameters<typeof addressIn>) => addressIn(...given).network;
  const peer = { remoteAddress: '10.0.0.1' };
  expect(addressOf(peer, '203.0.113.7')).toBe('203.0.113.7');
  expect(addressOf(peer, '203.0.113.8')).toBe('203.0.113.8');
  expect(addressOf(peer, undefined)).toBe('10.0.0.1');
});
