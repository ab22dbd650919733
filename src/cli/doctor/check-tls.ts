import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { readTls } from '../../http/index.ts';
import { AppError } from '../../platform/errors.ts';
import type { Facts } from './facts.ts';
import { type Check, type Finding, ok, problem, skipped, warning } from './finding.ts';

/** The certificate that this server shows: whether it fits its key, its time and the name that it is called by. */
export const tlsCheck: Check<Facts> = {
  name: 'certificate',
  run: async ({ config, clock }) => {
    if (!config) return [skipped('certificate', 'the configuration comes first')];
    if (!config.http.tls) return [skipped('certificate', 'none is configured: plain HTTP')];
    try {
      const { cert } = readTls(config.http.tls);
      return certificateFindings(new X509Certificate(cert), config.publicUrl, clock.now());
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      return [
        problem(
          'certificate',
          error.message,
          'Correct TLS_CERT_FILE and TLS_KEY_FILE: the server does not start.',
        ),
      ];
    }
  },
};

const dayMs = 86_400_000;
/** Renewals are tried about then; what has less left was most likely forgotten. */
const soonDays = 14;

/** @param publicUrl where callers reach the server; null: nobody said. */
export function certificateFindings(
  certificate: X509Certificate,
  publicUrl: string | null,
  now: Date,
): Finding[] {
  const from = new Date(certificate.validFrom);
  const until = new Date(certificate.validTo);
  const day = (at: Date) => at.toISOString().slice(0, 10);
  const renew = 'Renew it and put it into TLS_CERT_FILE; a running server takes it up within ten seconds.';
  const leftDays = Math.floor((until.getTime() - now.getTime()) / dayMs);
  const time =
    until <= now
      ? problem('certificate', `expired on ${day(until)}`, renew)
      : from > now
        ? problem(
            'certificate',
            `is not valid before ${day(from)}`,
            'Set the clock, or use one that is valid now.',
          )
        : leftDays < soonDays
          ? warning('certificate', `expires on ${day(until)}, in ${leftDays} days`, renew)
          : ok('certificate', `valid until ${day(until)}`);
  return [time, ...nameFindings(certificate, publicUrl)];
}

function nameFindings(certificate: X509Certificate, publicUrl: string | null): Finding[] {
  if (publicUrl === null) {
    return [skipped('certificate', 'set GATEHOUSE_PUBLIC_URL to have its name checked')];
  }
  const { protocol, hostname } = new URL(publicUrl);
  const host = hostname.replace(/^\[|\]$/g, '');
  if (protocol !== 'https:') {
    return [
      warning(
        'certificate',
        `is shown, and GATEHOUSE_PUBLIC_URL says ${protocol}//`,
        'Let GATEHOUSE_PUBLIC_URL begin with https://.',
      ),
    ];
  }
  const names = isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host);
  return names === undefined
    ? [
        problem(
          'certificate',
          `is not for ${host}, but for ${certificate.subjectAltName ?? certificate.subject}`,
          'Use one that names the host of GATEHOUSE_PUBLIC_URL, or correct that.',
        ),
      ]
    : [];
}
