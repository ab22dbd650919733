import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';
import { BlockList, isIP } from 'node:net';

/**
 * Addresses that nothing on the public internet has: a channel is set up by a tenant, and through it the tenant must not
 * reach what this server can reach and the tenant cannot. IANA's special-purpose registry
 * (https://www.iana.org/assignments/iana-ipv4-special-registry), multicast, and Azure's wire server, which hands machines
 * their certificates and has a public address.
 */
const refused4 = blockList([
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '168.63.129.16/32',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
]);
/**
 * All that is public in IPv6. What is outside needs no list: loopback, IPv4 in its several clothes (`::/96`,
 * `::ffff:0:0/96`, `64:ff9b::/96`, `64:ff9b:1::/48`), unique local, link-local and multicast addresses.
 */
const public6 = blockList(['2000::/3']);
/** In it, but not public, or a way to IPv4: protocol assignments with Teredo, documentation, 6to4. */
const refused6 = blockList(['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20']);

/** Whether an IP address in its plain form is one on the public internet. */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !refused4.check(address, 'ipv4');
    case 6:
      // An address with a zone (`fe80::1%eth0`) is one of this machine's own networks.
      return !address.includes('%') && public6.check(address, 'ipv6') && !refused6.check(address, 'ipv6');
    default:
      return false;
  }
}

/** Decides where deliveries may go. Made from what the operator allows beside the public internet over HTTPS. */
export interface AddressGuard {
  /** @returns why nothing is sent to this URL, in words for the tenant; null when it may be tried. */
  objectionTo(url: URL): string | null;
  /**
   * Looks a name up and refuses it when any of its addresses is refused. For the connection itself: what is checked is
   * what is connected to, so a name that changes its meaning between two looks gains nothing.
   */
  readonly lookup: (hostname: string, options: LookupOptions, callback: LookupCallback) => void;
}

type LookupCallback = (
  error: NodeJS.ErrnoException | null,
  address: string | LookupAddress[],
  family?: number,
) => void;
type Resolve = (
  hostname: string,
  options: LookupOptions & { readonly all: true },
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/** A name that leads to an address which may not be used. */
export class RefusedAddress extends Error {}

const localName = /(?:^|\.)(?:localhost|local|internal|localdomain)$/;

/**
 * @param allowed host names, IP addresses and CIDR ranges that may be used all the same, over plain HTTP too: a name with
 *   whatever it leads to, a range for URLs that name one of its addresses and for names that lead there over HTTPS.
 * @param resolve how names are looked up.
 */
export function createAddressGuard(allowed: readonly string[], resolve: Resolve = lookup): AddressGuard {
  const isRange = (entry: string) => entry.includes('/') || isIP(entry) !== 0;
  const ranges = blockList(allowed.filter(isRange).map(asRange));
  const names = new Set(allowed.filter((entry) => !isRange(entry)).map(plainName));

  const inRanges = (address: string) => {
    const family = isIP(address);
    return family !== 0 && !address.includes('%') && ranges.check(address, family === 6 ? 'ipv6' : 'ipv4');
  };
  const mayUse = (address: string) => isPublicAddress(address) || inRanges(address);

  return {
    objectionTo(url) {
      if (url.protocol !== 'https:' && url.protocol !== 'http:')
        return 'must be a URL that starts with https://';
      if (url.username !== '' || url.password !== '') return 'must not hold credentials';
      const host = plainName(url.hostname);
      const named = names.has(host);
      const address = isIP(host) !== 0;
      if (url.protocol === 'http:' && !named && !(address && inRanges(host))) {
        return 'must start with https://; the operator can allow plain HTTP to a host (GATEHOUSE_NOTIFY_ALLOW)';
      }
      if (named) return null;
      if (address ? !mayUse(host) : localName.test(host)) {
        return 'must not point to this machine or a private network; the operator can allow it (GATEHOUSE_NOTIFY_ALLOW)';
      }
      return null;
    },

    lookup(hostname, options, callback) {
      resolve(hostname, { ...options, all: true }, (error, addresses) => {
        const [first] = addresses ?? [];
        if (error || !first) return callback(error ?? new Error(`${hostname} has no address`), '', 0);
        if (!names.has(plainName(hostname)) && !addresses.every(({ address }) => mayUse(address))) {
          return callback(new RefusedAddress('the name leads to a private address'), '', 0);
        }
        if (options.all) callback(null, addresses);
        else callback(null, first.address, first.family);
      });
    },
  };
}

/** A host as URLs have it, without brackets, a last dot, or capitals. */
function plainName(host: string): string {
  return host
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase();
}

function asRange(entry: string): string {
  if (entry.includes('/')) return entry;
  return `${entry}/${isIP(entry) === 6 ? 128 : 32}`;
}

function blockList(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [network = '', bits = ''] = range.split('/');
    list.addSubnet(network, Number(bits), isIP(network) === 6 ? 'ipv6' : 'ipv4');
  }
  return list;
}
