import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { ProviderError } from '../provider-error.ts';

/** Credentials whose signature is verified; that of any other access key need only be well-formed. */
export const testCredentials = {
  accessKeyId: 'AKIASIMULATORTEST000',
  secretAccessKey: 'test-secret-of-the-simulator',
} as const;

interface SignedRequest {
  readonly accessKeyId: string;
  readonly date: string;
  readonly region: string;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
}

const authorizationPattern =
  /^AWS4-HMAC-SHA256 Credential=([A-Z0-9]{16,128})\/(\d{8})\/([a-z0-9-]+)\/([a-z0-9-]+)\/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/u;

/** The parts of a version 4 signature; undefined when the request has none that is well-formed. */
export function readAuthorization(request: IncomingMessage): SignedRequest | undefined {
  const match = authorizationPattern.exec(request.headers.authorization ?? '');
  if (!match) return undefined;
  const [, accessKeyId = '', date = '', region = '', service = '', headers = '', signature = ''] = match;
  return { accessKeyId, date, region, service, signedHeaders: headers.split(';'), signature };
}

/**
 * Checks what AWS would: the service is bedrock, host and date are signed, and, for the test credentials, the
 * signature is right (AWS Signature Version 4). Throws ProviderError.
 */
export function checkSignature(request: IncomingMessage, body: Buffer): void {
  const signed = readAuthorization(request);
  if (!signed) throw refused('The request signature is not well-formed.');
  const amzDate = headerOf(request, 'x-amz-date');
  if (signed.service !== 'bedrock') {
    throw refused(`Credential should be scoped to correct service: 'bedrock', not '${signed.service}'.`);
  }
  if (!signed.signedHeaders.includes('host') || !/^\d{8}T\d{6}Z$/u.test(amzDate)) {
    throw refused("'Host' and 'X-Amz-Date' must be part of the signed request.");
  }
  if (!amzDate.startsWith(signed.date)) throw refused('Date in Credential scope does not match X-Amz-Date.');
  if (signed.accessKeyId !== testCredentials.accessKeyId) return;
  const expected = signatureOf(request, body, signed, amzDate);
  if (!timingSafeEqual(Buffer.from(expected), Buffer.from(signed.signature))) {
    throw refused('The request signature we calculated does not match the signature you provided.');
  }
}

function signatureOf(request: IncomingMessage, body: Buffer, signed: SignedRequest, amzDate: string): string {
  const { date, region, service, signedHeaders } = signed;
  const [path = '/', query = ''] = (request.url ?? '/').split('?', 2);
  const canonical = [
    request.method ?? 'POST',
    encodedAgain(path),
    query.split('&').sort().join('&'),
    ...signedHeaders.map((name) => `${name}:${headerOf(request, name).trim().replace(/\s+/gu, ' ')}`),
    '',
    signedHeaders.join(';'),
    headerOf(request, 'x-amz-content-sha256') || sha256(body),
  ].join('\n');
  const scope = `${date}/${region}/${service}/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', amzDate, scope, sha256(canonical)].join('\n');
  const key = [date, region, service, 'aws4_request'].reduce<Buffer>(
    (secret, part) => createHmac('sha256', secret).update(part).digest(),
    Buffer.from(`AWS4${testCredentials.secretAccessKey}`),
  );
  return createHmac('sha256', key).update(toSign).digest('hex');
}

/** All services but S3 sign the path encoded once more than it is sent. */
function encodedAgain(path: string): string {
  return encodeURIComponent(path)
    .replaceAll('%2F', '/')
    .replace(/[!'()*]/gu, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}

function sha256(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

function headerOf(request: IncomingMessage, name: string): string {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(',') : (value ?? '');
}

function refused(message: string): ProviderError {
  return new ProviderError('wrong-key', message, { param: 'signature' });
}
