import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { accessRoutes, type Role, roles } from '../../src/access/index.ts';
import { createHttp, type HttpServer } from '../../src/http/index.ts';
import {
  createKnowledge,
  createParser,
  type DerivedPlace,
  documentRoutes,
  type Knowledge,
  type ParseFile,
} from '../../src/knowledge/index.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createIds } from '../../src/platform/ids.ts';
import { createJobs } from '../../src/platform/jobs/index.ts';
import { createLog } from '../../src/platform/log.ts';
import { createMetrics, type Metrics } from '../../src/platform/metrics.ts';
import { createFileObjects } from '../../src/platform/objects.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { createTestAccess, keyIn } from './access-instance.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { createFedIndex, type FedIndex } from './fed-index.ts';
import { openEntrance } from './open-doors.ts';
import { type Reply, type Request, requestsTo } from './requests.ts';

export interface KnowledgeServer {
  readonly http: HttpServer;
  readonly knowledge: Knowledge;
  readonly index: FedIndex;
  readonly test: TestDatabase;
  readonly metrics: Metrics;
  /** Where files are kept. */
  readonly objectsDir: string;
  /** An API key in the tenant with that slug, made when absent. */
  keyIn(slug: string, role: Role, groups?: string[]): Promise<string>;
  readonly request: Request;
  /** A multipart request; strings are fields, the rest are files. In the order given. */
  upload(
    key: string,
    method: 'POST' | 'PUT',
    path: string,
    parts: Readonly<Record<string, string | { name: string; type?: string; content: string | Buffer }>>,
  ): Promise<Reply>;
  stop(): Promise<void>;
}

const boundary = 'a-boundary-that-is-in-no-file';

function formOf(parts: Parameters<KnowledgeServer['upload']>[3]): Buffer {
  const pieces: Buffer[] = [];
  for (const [field, part] of Object.entries(parts)) {
    const isField = typeof part === 'string';
    const disposition = `form-data; name="${field}"${isField ? '' : `; filename="${part.name}"`}`;
    const type = isField ? '' : `content-type: ${part.type ?? 'application/octet-stream'}\r\n`;
    pieces.push(Buffer.from(`--${boundary}\r\ncontent-disposition: ${disposition}\r\n${type}\r\n`));
    pieces.push(Buffer.from(isField ? part : part.content), Buffer.from('\r\n'));
  }
  return Buffer.concat([...pieces, Buffer.from(`--${boundary}--\r\n`)]);
}

/** Documents behind the real HTTP server, on a database of its own, with durable jobs. */
export async function startKnowledgeServer(
  options: {
    /** The real parser when not given. */
    parse?: ParseFile;
    maxFileBytes?: number;
    derivedPlaces?: readonly DerivedPlace[];
    /** Goes on where another process left off. */
    from?: { readonly test: TestDatabase; readonly objectsDir: string };
  } = {},
): Promise<KnowledgeServer> {
  const clock = systemClock;
  const newId = createIds(clock, systemRandom);
  const log = createLog(process.env.TEST_LOG_LEVEL ?? 'silent');
  const metrics = createMetrics();
  const test = options.from?.test ?? (await createTestDatabase());
  const { database } = test;
  const objectsDir = options.from?.objectsDir ?? (await mkdtemp(join(tmpdir(), 'gatehouse-objects-')));
  const access = createTestAccess(test);
  const parser = createParser({ maxWorkers: 2, log });
  const jobs = createJobs({ url: test.url, executorId: 'gatehouse', clock, log });
  const index: FedIndex = createFedIndex(() => knowledge.indexFeed, `${objectsDir}-index`);
  const knowledge: Knowledge = createKnowledge({
    knowsRole: (_tenantId, role) => (roles as readonly string[]).includes(role),
    database,
    objects: createFileObjects(objectsDir, newId),
    jobs,
    parse: options.parse ?? parser.parse,
    ...(options.maxFileBytes === undefined ? {} : { maxFileBytes: options.maxFileBytes }),
    indexNow: (tenantId) => index.indexNow(tenantId),
    indexHolds: (tenantId, documentId) => index.indexHolds(tenantId, documentId),
    derivedPlaces: options.derivedPlaces ?? [],
    retries: { attempts: 4, firstDelayMs: 20 },
    clock,
    newId,
    log,
    metrics,
  });
  const http = await createHttp({
    limits: openEntrance(),
    access,
    clock,
    newId,
    log,
    metrics,
    version: 'test',
    platformRoutes: [accessRoutes(access, 'eu'), documentRoutes(knowledge.documents)],
    modelRoutes: [],
    rootRoutes: [],
  });
  await access.start();
  await jobs.start();
  knowledge.start();

  const request = requestsTo(http);

  return {
    http,
    knowledge,
    index,
    test,
    metrics,
    objectsDir,
    keyIn: (slug, role, groups) => keyIn(access, slug, role, groups),
    request,
    upload: (key, method, path, parts) =>
      request(key, method, path, formOf(parts), {
        'content-type': `multipart/form-data; boundary=${boundary}`,
      }),
    async stop() {
      await http.stop(1_000);
      await knowledge.stop();
      await jobs.stop(10_000);
      await parser.stop();
      await index.stop();
      await access.stop();
      await test.drop();
      for (const directory of [objectsDir, `${objectsDir}-index`]) {
        await rm(directory, { recursive: true, force: true });
      }
    },
  };
}
