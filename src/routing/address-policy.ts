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
/** Metadata service of Alibaba Cloud. */
local.addAddress('100.100.100.200', 'ipv4');
local.addAddress('::1', 'ipv6');
local.addAddress('::', 'ipv6');
local.addSubnet('fe80::', 10, 'ipv6');
/** Metadata service of AWS over IPv6. */
local.addAddress('fd00:ec2::254', 'ipv6');
/** IPv4 addresses behind a translator (RFC 6052), which could name any of the above. */
local.addSubnet('64:ff9b::', 96, 'ipv6');

const localName = /^(?:(?:.+\.)?localhost|metadata|metadata\.google\.internal|instance-data)\.?$/i;

/** @param address an IP address in its plain form. */
export function isLocalAddress(address: string): boolean {
  const family = isIP(address);
  return family !== 0 && local.check(address, family === 6 ? 'ipv6' : 'ipv4');
}

/** Whether a URL names such an address in so many words. What a name resolves to is checked when connecting. */
export function namesLocalAddress(url: URL): boolean {
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
