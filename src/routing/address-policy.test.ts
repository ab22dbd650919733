import { describe, expect, it } from 'vitest';
import { checkedBaseUrl, isLocalAddress } from './address-policy.ts';

describe('a base URL', () => {
  it('is taken with or without a trailing slash, in its normal form', () => {
    expect(checkedBaseUrl('https://API.openai.com/v1/', false)).toBe('https://api.openai.com/v1');
    expect(checkedBaseUrl('http://vllm.internal:8000', false)).toBe('http://vllm.internal:8000');
    expect(checkedBaseUrl('http://10.1.2.3:8000/v1', false)).toBe('http://10.1.2.3:8000/v1');
  });

  it.each([
    '',
    'api.openai.com',
    'ftp://x/',
    'file:///etc/passwd',
    'https://u:p@x/',
    'https://x/?a=1',
    'https://x/#a',
  ])('is refused as %j', (url) => {
    expect(() => checkedBaseUrl(url, true)).toThrow(expect.objectContaining({ code: 'invalid' }));
  });

  it.each([
    'http://localhost:9100/v1',
    'http://LOCALHOST./v1',
    'http://a.localhost/',
    'http://127.0.0.1/',
    'http://127.9.9.9/',
    'http://2130706433/',
    'http://0x7f.1/',
    'http://0.0.0.0/',
    'http://[::1]/',
    'http://[::]/',
    'http://[::ffff:127.0.0.1]/',
    'http://[64:ff9b::7f00:1]/',
    'http://[fe80::1]/',
    'http://169.254.169.254/latest/meta-data',
    'http://[fd00:ec2::254]/',
    'http://100.100.100.200/',
    'http://metadata.google.internal/',
    'http://metadata.goog/',
    'http://ip6-localhost:11434/v1',
    'http://[::127.0.0.1]/',
    'http://[2002:7f00:1::]/',
    'http://[64:ff9b:1::a9fe:a9fe]/',
    'http://[fd20:ce::254]/',
    'http://[ff02::1]/',
    'http://168.63.129.16/machine',
    'http://192.0.0.192/latest/',
    'http://239.255.255.250:1900/',
    'http://255.255.255.255/',
  ])('of a tenant does not lead to this machine or to metadata: %s', (url) => {
    expect(() => checkedBaseUrl(url, false)).toThrow(/this machine/);
    expect(checkedBaseUrl(url, true)).toMatch(/^http:/);
  });

  it('is judged by what its name resolves to as well', () => {
    expect(isLocalAddress('127.0.0.53')).toBe(true);
    expect(isLocalAddress('::ffff:169.254.169.254')).toBe(true);
    expect(isLocalAddress('8.8.8.8')).toBe(false);
    expect(isLocalAddress('2606:4700::1111')).toBe(false);
    expect(isLocalAddress('no address')).toBe(false);
  });
});
