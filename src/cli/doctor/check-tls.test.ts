import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { certificateFindings } from './check-tls.ts';

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-certificate-'));
let certificate: X509Certificate;
let madeAt: number;

beforeAll(() => {
  const request =
    'req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=models -addext subjectAltName=DNS:*.example.com,IP:192.0.2.7';
  const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')];
  execFileSync('openssl', [...request.split(' '), ...files], { stdio: 'ignore' });
  certificate = new X509Certificate(readFileSync(join(folder, 'cert.pem')));
  madeAt = new Date(certificate.validFrom).getTime();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const statusAfter = (days: number) =>
  certificateFindings(certificate, null, new Date(madeAt + days * 86_400_000))[0]?.status;
const namedFor = (publicUrl: string) =>
  certificateFindings(certificate, publicUrl, new Date(madeAt))
    .slice(1)
    .map(({ status }) => status);

describe('what doctor says of a certificate', () => {
  it('goes by what is left of its time', () => {
    expect([-1, 0, 15, 17, 29, 31].map(statusAfter)).toEqual([
      'problem',
      'ok',
      'ok',
      'warning',
      'warning',
      'problem',
    ]);
  });

  it('goes by the name that callers know', () => {
    expect(namedFor('https://models.example.com')).toEqual([]);
    expect(namedFor('https://192.0.2.7:8443')).toEqual([]);
    expect(namedFor('https://models.example.org')).toEqual(['problem']);
    expect(namedFor('https://192.0.2.8')).toEqual(['problem']);
    expect(namedFor('http://models.example.com')).toEqual(['warning']);
  });
});
