import { describe, expect, it } from 'vitest';
import { systemRandom } from '../../platform/random.ts';
import { createSecretBox } from '../../platform/secret-box.ts';
import { spaceFinding } from './check-data-directory.ts';
import { databaseFindings, rightsFinding, schemaFinding, versionFinding } from './check-database.ts';
import { embeddedFinding } from './check-embedded.ts';
import { instancesFindings } from './check-instances.ts';
import { masterKeyFinding } from './check-master-key.ts';
import { portFinding } from './check-port.ts';
import { nodeFinding } from './check-program.ts';
import { answerFinding, questionFor } from './check-providers.ts';
import { type DatabaseFacts, schemaState } from './database-facts.ts';
import { checkBoundMs, ok, runChecks } from './finding.ts';

const rights = {
  isSuperuser: false,
  mayCreateRoles: true,
  applicationRoleExists: true,
  mayBeApplicationRole: true,
  mayCreateTables: true,
  foreignOwner: null,
};
const reached: DatabaseFacts = {
  state: 'reached',
  version: '15.4',
  versionNumber: 150_004,
  latencyMs: 1.25,
  role: 'gatehouse',
  rights,
  schema: { exists: true, pending: [], unknown: [] },
  masterKeyFingerprint: null,
  keksInUse: [],
  instances: [],
};

describe('what doctor says of', () => {
  it.each([
    ['20.19.0', 'problem'],
    ['22.18.0', 'problem'],
    ['24.0.0', 'ok'],
    ['25.1.0', 'ok'],
  ])('Node %s: %s', (version, status) => expect(nodeFinding(version).status).toBe(status));

  it.each([
    ['14.19', 140_019, 'problem'],
    ['9.6.24', 90_624, 'problem'],
    ['15.0', 150_000, undefined],
    ['18.1', 180_001, undefined],
  ])('PostgreSQL %s', (version, number, status) =>
    expect(versionFinding(version, number)?.status).toBe(status),
  );

  it('a database that is well', () => {
    expect(databaseFindings(reached, true).map(({ status }) => status)).toEqual(['ok', 'ok', 'ok']);
  });

  it('a database too old: only that, because nothing else matters then', () => {
    const findings = databaseFindings({ ...reached, version: '13.2', versionNumber: 130_002 }, true);
    expect(findings.map(({ status }) => status)).toEqual(['problem']);
  });

  it('a database far away', () => {
    expect(databaseFindings({ ...reached, latencyMs: 180 }, true)[0]).toMatchObject({
      status: 'warning',
      detail: 'PostgreSQL 15.4 answers in 180.0 ms',
    });
  });

  it.each([
    ['28P01', /password/],
    ['3D000', /CREATE DATABASE/],
    ['53300', /DATABASE_POOL_MAX/],
    ['ENOTFOUND', /host/],
    ['ECONNREFUSED', /Nothing listens/],
    ['other', /DATABASE_URL/],
  ])('a connection refused with %s', (code, remedy) => {
    const [finding] = databaseFindings({ state: 'unreachable', code, message: 'no' }, true);
    expect(finding?.remedy).toMatch(remedy);
  });

  it('a role that lacks something', () => {
    expect(rightsFinding('g', { ...rights, mayCreateRoles: false }).status).toBe('ok');
    expect(
      rightsFinding('Odd "one"', { ...rights, applicationRoleExists: false, mayCreateRoles: false }),
    ).toMatchObject({
      status: 'problem',
      remedy: expect.stringContaining('ALTER ROLE "Odd ""one""" CREATEROLE'),
    });
    expect(rightsFinding('g', { ...rights, mayBeApplicationRole: false }).remedy).toContain(
      'GRANT gatehouse_app TO g',
    );
    expect(rightsFinding('g', { ...rights, mayCreateTables: false }).remedy).toContain('GRANT CREATE');
    expect(rightsFinding('g', { ...rights, isSuperuser: true, mayBeApplicationRole: false }).status).toBe(
      'ok',
    );
  });

  it('a schema that is new, behind, current, or ahead', () => {
    const shipped = ['0002_b', '0001_a'];
    expect(schemaFinding(schemaState(false, shipped, [])).status).toBe('ok');
    expect(schemaFinding(schemaState(true, shipped, ['0001_a']))).toMatchObject({
      status: 'warning',
      detail: '1 changes are to come: 0002_b',
    });
    expect(schemaFinding(schemaState(true, shipped, ['0001_a', '0002_b'])).status).toBe('ok');
    expect(schemaFinding(schemaState(true, shipped, ['0001_a', '0002_b', '0003_c']))).toMatchObject({
      status: 'problem',
      detail: expect.stringContaining('0003_c'),
    });
  });

  it.each([
    [{ state: 'free' } as const, false, 'ok'],
    [{ state: 'gatehouse' } as const, true, 'ok'],
    [{ state: 'gatehouse' } as const, false, 'problem'],
    [{ state: 'other_program', pid: 7, name: 'nginx' } as const, false, 'problem'],
    [{ state: 'refused', code: 'EACCES' } as const, false, 'problem'],
    [{ state: 'refused', code: 'EADDRNOTAVAIL' } as const, false, 'problem'],
    [{ state: 'any' } as const, false, 'ok'],
  ])('a port that is %j', (state, isOurs, status) =>
    expect(portFinding({ host: '127.0.0.1', port: 65_535 }, state, isOurs).status).toBe(status),
  );

  it('the master key, without showing it', () => {
    const key = systemRandom.bytes(32);
    const { fingerprint } = createSecretBox(key, systemRandom);
    const sealedBy = (masterKeyFingerprint: string | null) => ({ ...reached, masterKeyFingerprint });
    const findings = [
      masterKeyFinding('master.key', null, sealedBy(null)),
      masterKeyFinding('master.key', null, sealedBy(fingerprint)),
      masterKeyFinding('master.key', [key], sealedBy(fingerprint)),
      masterKeyFinding('master.key', [key], sealedBy('0123456789abcdef')),
      masterKeyFinding('master.key', [key], sealedBy(null)),
      masterKeyFinding('master.key', [key], { state: 'not_running' }),
      masterKeyFinding('master.key', [systemRandom.bytes(32), key], sealedBy(fingerprint)),
      masterKeyFinding('master.key', [key], {
        ...sealedBy(fingerprint),
        keksInUse: ['local:0123456789abcdef'],
      }),
    ];
    expect(findings.map(({ status }) => status)).toEqual([
      'ok',
      'problem',
      'ok',
      'problem',
      'ok',
      'ok',
      'ok',
      'problem',
    ]);
    for (const form of ['base64', 'hex'] as const)
      expect(JSON.stringify(findings)).not.toContain(key.toString(form));
  });

  it('an embedded server, by whether a Gatehouse should have it', () => {
    const connection = {
      host: '/run',
      port: 5432,
      user: 'u',
      database: 'd',
      url: 'postgresql://u@localhost/d',
    };
    const report = { initialised: true, logPath: '/log', running: { pid: 9, connection } };
    expect(embeddedFinding(report, true).status).toBe('ok');
    expect(embeddedFinding(report, false)).toMatchObject({
      status: 'warning',
      detail: expect.stringContaining('killed'),
    });
    expect(embeddedFinding({ ...report, running: { pid: 9, connection: null } }, true).status).toBe(
      'warning',
    );
    expect(embeddedFinding({ ...report, running: null }, true).status).toBe('warning');
    expect(embeddedFinding({ ...report, running: null }, false).status).toBe('ok');
    expect(embeddedFinding(null, false).status).toBe('ok');
  });

  it.each([
    [null, 'skipped'],
    [1024 ** 3, 'ok'],
    [1024 ** 3 - 1, 'warning'],
  ])('a disk with %s bytes free', (bytes, status) => expect(spaceFinding('/d', bytes).status).toBe(status));

  it.each([
    [200, 'accepts its key'],
    [401, 'does not accept its key'],
    [403, 'does not accept its key'],
    [404, 'answers 404'],
    [503, 'answers 503'],
  ])('a provider that answers %i', (status, detail) =>
    expect(answerFinding('p', 'p.example', status).detail).toContain(detail),
  );

  it.each([
    ['openai', 'https://p.example/v1/models', 'authorization', 'Bearer test-key'],
    ['ollama', 'https://p.example/v1/models', 'authorization', 'Bearer test-key'],
    ['azure', 'https://p.example/v1/models', 'api-key', 'test-key'],
    ['anthropic', 'https://p.example/v1/models', 'x-api-key', 'test-key'],
    ['gemini', 'https://p.example/v1/models', 'x-goog-api-key', 'test-key'],
    ['kapa', 'https://p.example/v1/query/v1/projects/p1/integrations/', 'x-api-key', 'test-key'],
  ] as const)('a provider of the kind %s asks it at %s', (kind, url, header, value) => {
    const settings = { projectId: 'p1' };
    const given = { name: 'p', kind, baseUrl: 'https://p.example/v1/', apiKey: 'test-key', settings };
    const question = questionFor(given);
    expect(question.url.href).toBe(url);
    expect(question.headers[header]).toBe(value);
  });

  it('Bedrock depends on what kind of key there is', () => {
    const settings = { awsRegion: 'eu-central-1' };
    const baseUrl = 'https://bedrock-runtime.eu-central-1.amazonaws.com';
    const asked = (apiKey: string) => questionFor({ name: 'b', kind: 'bedrock', baseUrl, apiKey, settings });
    expect(asked('api-key-of-test').url.href).toBe(
      'https://bedrock.eu-central-1.amazonaws.com/foundation-models',
    );
    expect(asked('AKIATEST:secret')).toMatchObject({ headers: {}, refusals: null });
  });

  it('a key that Gemini does not know, which it calls a bad request', () => {
    expect(answerFinding('google', 'g', 400, [400, 401, 403]).detail).toContain('does not accept its key');
  });
});

describe('a check', () => {
  it('that hangs is reported instead of waited for, and one that fails takes nobody along', async () => {
    const waited: number[] = [];
    const clock = {
      sleep: async (ms: number) => {
        waited.push(ms);
      },
    };
    const findings = await runChecks(
      [
        { name: 'hangs', run: () => new Promise<never>(() => {}) },
        {
          name: 'fails',
          run: async () => {
            throw new Error('broken');
          },
        },
        { name: 'works', run: async () => [ok('works', 'well')] },
      ],
      {},
      clock,
    );
    expect(findings).toMatchObject([
      { check: 'hangs', status: 'problem' },
      { check: 'fails', status: 'problem', detail: expect.stringContaining('broken') },
      { check: 'works', status: 'ok' },
    ]);
    expect(waited).toContain(checkBoundMs);
  });
});

describe('who serves from the database', () => {
  const one = { host: 'a', pid: 1, hasRedis: true };
  const lonely = { host: 'b', pid: 2, hasRedis: false };
  it.each([
    { seen: [], hasRedis: true, status: 'ok', detail: /none/ },
    { seen: [one, { ...one, host: 'c' }], hasRedis: true, status: 'ok', detail: /2 on this.*on a, .*on c/ },
    { seen: [lonely], hasRedis: false, status: 'ok', detail: /process 2 on b .*no second/ },
    { seen: [lonely], hasRedis: true, status: 'problem', detail: /process 2 on b .*without Redis/ },
    { seen: [one], hasRedis: false, status: 'problem', detail: /process 1 on a .*this one has none/ },
  ])('is told: $detail', ({ seen, hasRedis, status, detail }) => {
    const [finding] = instancesFindings(seen, hasRedis);
    expect(finding).toMatchObject({ status, detail: expect.stringMatching(detail) });
  });
});
