import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { S3Config } from '../../src/platform/config.ts';

interface S3rver {
  run(): Promise<{ readonly port: number }>;
  close(): Promise<void>;
}

export interface TestS3 {
  readonly config: S3Config & { readonly endpoint: string };
  /** As a server takes it. */
  readonly env: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

const bucket = 'gatehouse-test';
/** What the server takes; it opens nothing else. */
const key = 'S3RVER';

/** A store that speaks S3, in this process, on files that are removed with it. */
export async function startS3(): Promise<TestS3> {
  const directory = await mkdtemp(join(tmpdir(), 'gatehouse-s3-'));
  const Server = createRequire(import.meta.url)('s3rver') as new (options: object) => S3rver;
  const server = new Server({
    address: '127.0.0.1',
    port: 0,
    silent: true,
    directory,
    configureBuckets: [{ name: bucket }],
  });
  const { port } = await server.run();
  const endpoint = `http://127.0.0.1:${port}`;
  return {
    config: { endpoint, bucket, region: 'us-east-1', accessKeyId: key, secretAccessKey: key },
    env: {
      S3_ENDPOINT: endpoint,
      S3_BUCKET: bucket,
      S3_ACCESS_KEY_ID: key,
      S3_SECRET_ACCESS_KEY: key,
    },
    async stop() {
      await server.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
