import { BlockList, isIP } from 'node:net';
import { AppError } from '../platform/errors.ts';

/**
 * Addresses that lead to this machine, to its link-local neighbours, or to a cloud's instance metadata, where
 * credentials lie open: a provider that a tenant set up may not point there, or the tenant could read them through us.
 * Private networks (10/8 and the like) are allowed: that is where companies run their own model servers.
 */
const local = new BlockList();
local.addSubnet('127.0.0.0', 8, 'ipv4');
local.addSubnet('0.0.0.0', 8, 'ipv4');
local.addSubnet('169.254.0.0', 16, 'ipv4');
/** Metadata services of Alibaba Cloud and Oracle Cloud, and Azure's, which hands machines their certificates. */
local.addAddress('100.100.100.200', 'ipv4');
local.addAddress('192.0.0.192', 'ipv4');
local.addAddress('168.63.129.16', 'ipv4');
/** Nobody's in particular: groups, and the whole of a network. */
local.addSubnet('224.0.0.0', 4, 'ipv4');
local.addAddress('255.255.255.255', 'ipv4');
local.addSubnet('ff00::', 8, 'ipv6');
local.addSubnet('fe80::', 10, 'ipv6');
/** Metadata services of AWS and Google Cloud over IPv6. */
local.addAddress('fd00:ec2::254', 'ipv6');
local.addAddress('fd20:ce::254', 'ipv6');
/**
 * IPv4 addresses in IPv6's clothes, which could name any of the above: without a prefix (with it `::1` and `::`), behind a
 * translator (RFC 6052, RFC 8215), and of 6to4 (RFC 3056).
 */
local.addSubnet('::', 96, 'ipv6');
local.addSubnet('64:ff9b::', 96, 'ipv6');
local.addSubnet('64:ff9b:1::', 48, 'ipv6');
local.addSubnet('2002::', 16, 'ipv6');

const localName =
  /^(?:(?:.+\.)?localhost|ip6-(?:localhost|loopback)|metadata|metadata\.goog|metadata\.google\.internal|instance-data)\.?$/i;

/** @param address an IP address in its plain form. */
export function isLocalAddress(address: string): boolean {
  const family = isIP(address);
  return family !== 0 && local.check(address, family === 6 ? 'ipv6' : 'ipv4');
}

/** Whether a URL names such an address in so many words. What a name resolves to is checked when connecting. */
function namesLocalAddress(url: URL): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return isIP(host) === 0 ? localName.test(host) : isLocalAddress(host);
}

/**
 * @param text a provider's base URL as given, with or without a trailing slash.
 * @returns it in its normal form without a trailing slash.
 * @throws AppError `invalid` when it is not http or https, holds credentials, a query or a fragment, or names a local
 *   address that `localAllowed` does not permit.
 */
export function checkedBaseUrl(text: string, localAllowed: boolean): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw refusal('must be a URL that starts with http:// or https://, such as https://api.openai.com/v1');
  }
  if (url.username !== '' || url.password !== '')
    throw refusal('must not hold credentials; give them as api_key');
  if (url.search !== '' || url.hash !== '') throw refusal('must not have a query or fragment');
  if (!localAllowed && namesLocalAddress(url)) {
    throw refusal(
      'must not point to this machine, a link-local or a metadata address; only a platform owner may set up such a provider',
    );
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

function refusal(message: string): AppError {
  return new AppError('invalid', `base_url ${message}.`, { errors: [{ path: 'base_url', message }] });
}
