import { isIPv4, isIPv6 } from 'node:net';

export type IpFamily = 'ipv4' | 'ipv6';

export interface IpAddress {
  readonly family: IpFamily;
  /** In one spelling only: dotted for IPv4, as RFC 5952 has it for IPv6. */
  readonly text: string;
  /** Names the caller's network: an IPv4 address itself, an IPv6 address by its first 64 bits, `2001:db8::/64`. */
  readonly network: string;
}

/** A range of addresses, `10.0.0.0/8`. */
export interface IpRange {
  readonly family: IpFamily;
  readonly address: string;
  readonly prefix: number;
}

const wordsOfIpv6 = 8;
/** What one subscriber is given at least (RFC 6177), so counting single addresses would count nobody. */
const wordsOfNetwork = 4;

/**
 * @param text an address in any of its spellings. An IPv4 address written as IPv6 (`::ffff:192.0.2.1`) is the IPv4 address;
 *   a zone (`%eth0`) is dropped.
 * @returns null when it is no address.
 */
export function ipAddressOf(text: string): IpAddress | null {
  if (isIPv4(text)) return { family: 'ipv4', text, network: text };
  if (!isIPv6(text)) return null;
  const words = wordsOf(text);
  const inner = mappedIpv4(words);
  if (inner !== null) return { family: 'ipv4', text: inner, network: inner };
  return { family: 'ipv6', text: ipv6Text(words), network: networkText(words) };
}

/** @returns null unless it is a range such as `10.0.0.0/8` or `2001:db8::/32`; an address stands for itself alone. */
export function ipRangeOf(text: string): IpRange | null {
  const slash = text.indexOf('/');
  const address = slash < 0 ? text : text.slice(0, slash);
  const given = slash < 0 ? null : text.slice(slash + 1);
  if (address.includes('%') || (given !== null && !/^\d{1,3}$/.test(given))) return null;
  const bits = isIPv4(address) ? 32 : isIPv6(address) ? 128 : null;
  if (bits === null) return null;
  const prefix = given === null ? bits : Number(given);
  if (prefix > bits) return null;
  const known = ipAddressOf(address);
  if (known === null) return null;
  // ::ffff:10.0.0.0/104 is 10.0.0.0/8; a wider one holds more than IPv4 addresses, and means none that we ever see.
  if (known.family === 'ipv4' && bits === 128) {
    return prefix < 96 ? null : { family: 'ipv4', address: known.text, prefix: prefix - 96 };
  }
  return { family: known.family, address: known.text, prefix };
}

/** @param text what `isIPv6` accepts. */
function wordsOf(text: string): number[] {
  const zone = text.indexOf('%');
  const [head = '', tail] = (zone < 0 ? text : text.slice(0, zone)).split('::');
  const left = wordsIn(head);
  if (tail === undefined) return left;
  const right = wordsIn(tail);
  const zeros = Array<number>(wordsOfIpv6 - left.length - right.length).fill(0);
  return [...left, ...zeros, ...right];
}

function wordsIn(part: string): number[] {
  if (part === '') return [];
  return part.split(':').flatMap((word) => {
    if (!word.includes('.')) return [Number.parseInt(word, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = word.split('.').map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}

/** RFC 4291, 2.5.5.2: 80 bits of zero, 16 of one, and the address. */
function mappedIpv4(words: readonly number[]): string | null {
  const [high = 0, low = 0] = words.slice(6);
  const isMapped = words.slice(0, 5).every((word) => word === 0) && words[5] === 0xffff;
  return isMapped ? [high >> 8, high & 255, low >> 8, low & 255].join('.') : null;
}

/** RFC 5952: lower case, no leading zeros, the longest run of two or more zero words (the first of equals) as `::`. */
function ipv6Text(words: readonly number[]): string {
  let from = -1;
  let length = 1;
  for (let start = 0; start < words.length; start++) {
    let end = start;
    while (words[end] === 0) end++;
    if (end - start > length) {
      from = start;
      length = end - start;
    }
  }
  const hex = (part: readonly number[]) => part.map((word) => word.toString(16)).join(':');
  return from < 0 ? hex(words) : `${hex(words.slice(0, from))}::${hex(words.slice(from + length))}`;
}

function networkText(words: readonly number[]): string {
  return `${ipv6Text([...words.slice(0, wordsOfNetwork), 0, 0, 0, 0])}/64`;
}
