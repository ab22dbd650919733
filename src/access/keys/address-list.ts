import { BlockList } from 'node:net';
import { AppError } from '../../platform/errors.ts';
import { ipAddressOf, ipRangeOf } from '../../platform/ip-address.ts';

/** Where a caller may come from. */
export interface AddressList {
  /** @param address in any spelling; what is no address is never on a list. */
  has(address: string): boolean;
}

/**
 * @param ranges addresses and ranges as they are stored, IPv4 and IPv6.
 * @returns undefined for none: then every address will do. A range that this version cannot read holds no address.
 */
export function addressList(ranges: readonly string[]): AddressList | undefined {
  if (ranges.length === 0) return undefined;
  const list = new BlockList();
  for (const text of ranges) {
    const range = ipRangeOf(text);
    if (range) list.addSubnet(range.address, range.prefix, range.family);
  }
  return Object.freeze({
    has: (text: string) => {
      const address = ipAddressOf(text);
      return address !== null && list.check(address.text, address.family);
    },
  });
}

/** @throws AppError `invalid` that names the entry, for one that is neither an address nor a range. */
export function refuseBadRanges(ranges: readonly string[], field: string): void {
  const at = ranges.findIndex((text) => ipRangeOf(text) === null);
  if (at < 0) return;
  throw new AppError('invalid', `${field} holds what is neither an address nor a range such as 10.0.0.0/8.`, {
    errors: [{ path: `${field}.${at}`, message: 'must be an IPv4 or IPv6 address or range' }],
  });
}
