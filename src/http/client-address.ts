import { BlockList } from 'node:net';
import { ipAddressOf, ipRangeOf } from '../platform/ip-address.ts';

/** What of a connection is looked at. */
export interface Peer {
  readonly remoteAddress?: string | undefined;
}

/** The address of a connection that is gone already. */
export const noAddress = 'unknown';
/** More proxies than this do not stand behind each other. */
const maxHops = 32;

export interface ClientAddress {
  /** An IPv4 address, or IPv6 by its first 64 bits: what limits count by. */
  readonly network: string;
  /** All of it: what allow-lists are about. */
  readonly address: string;
}

interface KnownPeer extends ClientAddress {
  readonly trusted: boolean;
}

/**
 * Tells whose request it is, as the network sees it. The connection's own address counts, unless it is a proxy's that we
 * were told to trust: then `X-Forwarded-For` is read from right to left, each entry for as long as the one who wrote it
 * is trusted. What is left of the first address that is not trusted was said by a stranger, and is not looked at.
 * `Forwarded` (RFC 7239) is not read: a proxy that writes one of the two headers lets the other through as its client sent
 * it, so whoever reads both believes strangers.
 * @param trustedProxies addresses and ranges, checked by the configuration.
 * @returns a function that gives the client's address and network.
 */
export function createClientAddress(
  trustedProxies: readonly string[],
): (peer: Peer, forwardedFor: string | readonly string[] | undefined) => ClientAddress {
  const trusted = listOf(trustedProxies);
  // Connections carry many requests, so each is understood once.
  const peers = new WeakMap<Peer, KnownPeer>();
  const peerOf = (peer: Peer): KnownPeer => {
    const known = peers.get(peer);
    if (known) return known;
    const address = ipAddressOf(peer.remoteAddress ?? '');
    const made: KnownPeer =
      address === null
        ? { network: noAddress, address: noAddress, trusted: false }
        : {
            network: address.network,
            address: address.text,
            trusted: trusted?.check(address.text, address.family) ?? false,
          };
    peers.set(peer, made);
    return made;
  };

  return (peer, forwardedFor) => {
    const known = peerOf(peer);
    if (!known.trusted || trusted === null || forwardedFor === undefined) return known;
    const said = typeof forwardedFor === 'string' ? forwardedFor : forwardedFor.join(',');
    return behindProxies(known, said, trusted);
  };
}

/** @returns the last address on the way back that the one before it, a trusted proxy, wrote in full. */
function behindProxies(proxy: ClientAddress, said: string, trusted: BlockList): ClientAddress {
  let client = proxy;
  let end = said.length;
  for (let hop = 0; hop < maxHops && end >= 0; hop++) {
    const comma = end === 0 ? -1 : said.lastIndexOf(',', end - 1);
    const address = ipAddressOf(withoutPort(said.slice(comma + 1, end).trim()));
    if (address === null) return client;
    client = { network: address.network, address: address.text };
    if (!trusted.check(address.text, address.family)) return client;
    end = comma;
  }
  return client;
}

/** Some proxies add the port: `192.0.2.1:4711`, `[2001:db8::1]:4711`. */
function withoutPort(entry: string): string {
  const found = /^(?:\[([^\]]+)\](?::\d{1,5})?|(\d[\d.]*):\d{1,5})$/.exec(entry);
  return found?.[1] ?? found?.[2] ?? entry;
}

function listOf(ranges: readonly string[]): BlockList | null {
  if (ranges.length === 0) return null;
  const list = new BlockList();
  for (const text of ranges) {
    const range = ipRangeOf(text);
    if (range === null) throw new Error(`"${text}" is no range of addresses`);
    list.addSubnet(range.address, range.prefix, range.family);
  }
  return list;
}
