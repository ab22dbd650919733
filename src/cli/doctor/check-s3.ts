import { tmpdir } from 'node:os';
import type { S3Config } from '../../platform/config.ts';
import { createS3Objects } from '../../platform/s3-objects.ts';
import type { Facts } from './facts.ts';
import { type Check, type Finding, ok, problem, skipped } from './finding.ts';

export const s3Check: Check<Facts> = {
  name: 's3',
  run: async ({ config }) => {
    if (!config) return [skipped('s3', 'the configuration comes first')];
    if (config.s3 === null) return [ok('s3', 'not used: uploaded files stay in the data directory')];
    return [await ask(config.s3)];
  },
};

/** Asks whether the bucket is there and may be used. Nothing is written. */
async function ask(s3: S3Config): Promise<Finding> {
  const where = `bucket ${s3.bucket} at ${s3.endpoint === null ? `Amazon S3, ${s3.region}` : new URL(s3.endpoint).host}`;
  const objects = createS3Objects(s3, tmpdir(), () => '');
  try {
    await objects.check();
    return ok('s3', where);
  } catch (error) {
    return problem(
      's3',
      `${where}: ${(error as Error).message.replace(/ Try again shortly\.$/, '')}`,
      'Make the bucket, or check S3_ENDPOINT, S3_BUCKET, S3_REGION, S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY.',
    );
  } finally {
    objects.stop();
  }
}
