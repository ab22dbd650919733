import { createHash, createHmac } from 'node:crypto';

export interface AwsRequest {
  readonly method: string;
  readonly url: URL;
  /** By lower-case name; `host` and `x-amz-date` are added. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface AwsSigner {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
  readonly service: string;
}

/**
 * Signature version 4 for a request without a query
 * (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
 * @returns all headers to send but `host`, which follows from the URL.
 */
export function signAwsRequest(request: AwsRequest, signer: AwsSigner, at: Date): Record<string, string> {
  const time = `${at.toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
  const day = time.slice(0, 8);
  const headers: Record<string, string> = { ...request.headers, host: request.url.host, 'x-amz-date': time };
  const names = Object.keys(headers).sort();
  const signed = names.join(';');
  const canonical = [
    request.method,
    request.url.pathname,
    '',
    ...names.map((name) => `${name}:${headers[name]?.trim().replace(/\s+/g, ' ')}`),
    '',
    signed,
    sha256(request.body),
  ].join('\n');
  const scope = `${day}/${signer.region}/${signer.service}/aws4_request`;
  const key = [day, signer.region, signer.service, 'aws4_request'].reduce<string | Buffer>(
    (parent, part) => hmac(parent, part),
    `AWS4${signer.secretAccessKey}`,
  );
  const signature = hmac(key, ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n')).toString(
    'hex',
  );
  const { host: _host, ...sent } = headers;
  return {
    ...sent,
    authorization: `AWS4-HMAC-SHA256 Credential=${signer.accessKeyId}/${scope}, SignedHeaders=${signed}, Signature=${signature}`,
  };
}

const sha256 = (text: string) => createHash('sha256').update(text, 'utf8').digest('hex');
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text, 'utf8').digest();
