import { z } from 'zod';
import type { Clock } from '../clock.ts';
import type { KmsConfig } from '../secrets-settings.ts';
import { type KeyEncryption, KeyEncryptionError, type KeyTrouble, tryOut } from './key-encryption.ts';
import { signAwsRequest } from './sign-aws-request.ts';
import { dataKeyFrom } from './vault-transit.ts';

const timeoutMs = 5_000;
const encryptReply = z.object({ CiphertextBlob: z.string() });
const decryptReply = z.object({ Plaintext: z.string() });
const failureReply = z.object({ __type: z.string() });

/** https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html: these say nothing of the key. */
const passing = /(Throttling|LimitExceeded|KMSInternal|DependencyTimeout|ServiceUnavailable|InternalFailure)/;

/**
 * A symmetric key in AWS KMS (https://docs.aws.amazon.com/kms/latest/APIReference/): it never leaves KMS, and whoever
 * administers it can withdraw it. KMS rotates what is behind the key's name by itself.
 */
export function createAwsKms(config: KmsConfig, clock: Pick<Clock, 'now'>): KeyEncryption {
  const url = new URL(config.endpoint);
  const name = `aws:${config.key}`;
  const signer = { ...config, service: 'kms' };

  const call = async <T>(operation: string, body: object, reply: z.ZodType<T>, kekId: string): Promise<T> => {
    const text = JSON.stringify(body);
    const headers = signAwsRequest(
      {
        method: 'POST',
        url,
        headers: {
          'content-type': 'application/x-amz-json-1.1',
          'x-amz-target': `TrentService.${operation}`,
          ...(config.sessionToken === null ? {} : { 'x-amz-security-token': config.sessionToken }),
        },
        body: text,
      },
      signer,
      clock.now(),
    );
    let answer: { status: number; json: unknown };
    try {
      const signal = AbortSignal.timeout(timeoutMs);
      const response = await fetch(url, { method: 'POST', headers, body: text, redirect: 'error', signal });
      answer = { status: response.status, json: await response.json() };
    } catch (cause) {
      const detail = `AWS KMS does not answer (${operation}). Is ${url.origin} within reach?`;
      throw new KeyEncryptionError('unreachable', kekId, detail, cause);
    }
    if (answer.status === 200) {
      const read = reply.safeParse(answer.json);
      if (read.success) return read.data;
    }
    throw failure(operation, kekId, answer);
  };

  const engine: KeyEncryption = {
    engine: 'aws',
    currentKeyId: async () => name,
    knownKeyIds: async () => [name],
    async wrap(dataKey, context) {
      const body = {
        KeyId: config.key,
        Plaintext: dataKey.toString('base64'),
        EncryptionContext: { context },
      };
      const { CiphertextBlob: wrapped } = await call('Encrypt', body, encryptReply, name);
      return { wrapped, kekId: name };
    },
    async unwrap({ wrapped, kekId }, context) {
      // The key's name goes along, so that KMS opens nothing that another key sealed.
      const body = {
        KeyId: kekId.slice('aws:'.length),
        CiphertextBlob: wrapped,
        EncryptionContext: { context },
      };
      return dataKeyFrom((await call('Decrypt', body, decryptReply, kekId)).Plaintext, kekId);
    },
    async rewrap(wrapped, context) {
      const body = {
        CiphertextBlob: wrapped.wrapped,
        SourceKeyId: wrapped.kekId.slice('aws:'.length),
        SourceEncryptionContext: { context },
        DestinationKeyId: config.key,
        DestinationEncryptionContext: { context },
      };
      const reply = await call('ReEncrypt', body, encryptReply, wrapped.kekId);
      return { wrapped: reply.CiphertextBlob, kekId: name };
    },
    makeKey: async () => null,
    health: () => tryOut(engine),
    withKey: (other) => createAwsKms({ ...config, key: other }, clock),
  };
  return engine;
}

function failure(
  operation: string,
  kekId: string,
  { status, json }: { readonly status: number; readonly json: unknown },
): KeyEncryptionError {
  const said = failureReply.safeParse(json);
  // The type may come with a namespace in front: `com.amazonaws.kms#NotFoundException`.
  const type = said.success ? said.data.__type.replace(/^.*#/, '').slice(0, 100) : `status ${status}`;
  const isPassing = status >= 500 || status === 429 || passing.test(type);
  const trouble: KeyTrouble = isPassing
    ? 'unreachable'
    : type === 'NotFoundException'
      ? 'unknown'
      : 'refused';
  const what = isPassing ? 'AWS KMS cannot serve now' : 'AWS KMS refuses';
  return new KeyEncryptionError(trouble, kekId, `${what}: ${operation} with ${kekId} (${type}).`);
}
