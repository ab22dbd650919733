import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type StandIn, startStandIn } from '../../../test/harness/stand-in.ts';
import { systemClock } from '../clock.ts';
import { createAwsKms } from './aws-kms.ts';
import { signAwsRequest } from './sign-aws-request.ts';

const key = 'arn:aws:kms:eu-central-1:111122223333:key/test';
const credentials = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
};
const dataKey = Buffer.alloc(32, 4);

let kms: StandIn;
let failing: { status: number; type: string } | null;
beforeEach(async () => {
  failing = null;
  // A blob holds what it would unwrap to and the context that it is bound to.
  kms = await startStandIn((request, text) => {
    const refuse = (type: string, status = 400) => ({
      status,
      json: { __type: `com.amazonaws.kms#${type}` },
    });
    if (failing) return refuse(failing.type, failing.status);
    const sent = String(request.headers['x-amz-date']);
    const at = new Date(sent.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
    const signed = ['content-type', 'x-amz-target'].map((name) => [name, String(request.headers[name])]);
    const url = new URL(`${kms.url}/`);
    const expected = signAwsRequest(
      { method: 'POST', url, headers: Object.fromEntries(signed), body: text },
      { ...credentials, region: 'eu-central-1', service: 'kms' },
      at,
    );
    if (request.headers.authorization !== expected.authorization) return refuse('IncompleteSignature');
    const body = JSON.parse(text);
    const blob = (plain: string, context: unknown) =>
      Buffer.from(JSON.stringify({ plain, context })).toString('base64');
    const read = (from: string, context: unknown) => {
      const held = JSON.parse(Buffer.from(from, 'base64').toString());
      return JSON.stringify(held.context) === JSON.stringify(context) ? held.plain : null;
    };
    switch (request.headers['x-amz-target']) {
      case 'TrentService.Encrypt':
        return {
          status: 200,
          json: { CiphertextBlob: blob(body.Plaintext, body.EncryptionContext), KeyId: key },
        };
      case 'TrentService.Decrypt': {
        const plain = body.KeyId === key ? read(body.CiphertextBlob, body.EncryptionContext) : null;
        return plain === null
          ? refuse('InvalidCiphertextException')
          : { status: 200, json: { Plaintext: plain } };
      }
      case 'TrentService.ReEncrypt': {
        const plain = read(body.CiphertextBlob, body.SourceEncryptionContext);
        if (plain === null || body.DestinationKeyId !== key) return refuse('InvalidCiphertextException');
        return { status: 200, json: { CiphertextBlob: blob(plain, body.DestinationEncryptionContext) } };
      }
      default:
        return refuse('UnknownOperationException');
    }
  });
});
afterEach(() => kms.stop());

const engine = () =>
  createAwsKms(
    { ...credentials, key, region: 'eu-central-1', endpoint: kms.url, sessionToken: null },
    systemClock,
  );

describe('a key-encryption key in AWS KMS', () => {
  it('wraps, unwraps and re-wraps with signed requests, bound to what the data key is for', async () => {
    const wrapped = await engine().wrap(dataKey, 'data key:a');
    expect(wrapped.kekId).toBe(`aws:${key}`);
    expect(await engine().unwrap(wrapped, 'data key:a')).toEqual(dataKey);
    expect(await engine().unwrap(await engine().rewrap(wrapped, 'data key:a'), 'data key:a')).toEqual(
      dataKey,
    );
    await expect(engine().unwrap(wrapped, 'data key:b')).rejects.toMatchObject({ trouble: 'refused' });
    expect(await engine().health()).toMatchObject({ ok: true });
  });

  it.each([
    [400, 'AccessDeniedException', 'refused'],
    [400, 'DisabledException', 'refused'],
    [400, 'NotFoundException', 'unknown'],
    [400, 'ThrottlingException', 'unreachable'],
    [500, 'KMSInternalException', 'unreachable'],
  ])('understands status %i with %s as: %s', async (status, type, trouble) => {
    const wrapped = await engine().wrap(dataKey, 'a');
    failing = { status, type };
    await expect(engine().unwrap(wrapped, 'a')).rejects.toMatchObject({ trouble });
  });

  it('is unreachable when nobody answers', async () => {
    await kms.stop();
    await expect(engine().wrap(dataKey, 'a')).rejects.toMatchObject({ trouble: 'unreachable' });
  });
});

describe('signature version 4', () => {
  it('is that of the published example "post-vanilla"', () => {
    // https://docs.aws.amazon.com/general/latest/gr/signature-v4-test-suite.html
    const headers = signAwsRequest(
      { method: 'POST', url: new URL('https://example.amazonaws.com/'), headers: {}, body: '' },
      { ...credentials, region: 'us-east-1', service: 'service' },
      new Date('2015-08-30T12:36:00Z'),
    );
    expect(headers.authorization).toContain(
      'Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b',
    );
  });
});
