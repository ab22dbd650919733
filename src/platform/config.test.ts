import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { knownVariables, loadClientConfig, loadConfig, unknownVariables } from './config.ts';
import { AppError } from './errors.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gatehouse-config-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function problemsOf(environment: Record<string, string>): string {
  try {
    loadConfig(environment);
  } catch (error) {
    if (error instanceof AppError) return error.message;
    throw error;
  }
  return '';
}

describe('the configuration', () => {
  it('has a default for everything that can have one', () => {
    const config = loadConfig({});
    expect(config).toMatchObject({
      host: '127.0.0.1',
      port: 8080,
      databaseUrl: null,
      databasePool: { min: 10, max: 20 },
      region: 'eu',
      drainMs: 5_000,
      shutdownMs: 30_000,
      environmentProviders: [],
    });
  });

  it('names every problem at once, each with an example, and repeats no value', () => {
    const message = problemsOf({
      PORT: 'eighty',
      DATABASE_URL: 'mysql://root:hunter2@db/x',
      GATEHOUSE_MASTER_KEY: 'c2hvcnQ=',
      GATEHOUSE_ADMIN_KEY: 'not-long',
      LOG_LEVEL: 'loud',
    });
    expect(message).toMatch(/PORT must be a whole number, for example PORT=8080/);
    expect(message).toMatch(/DATABASE_URL must be a URL .*for example DATABASE_URL=postgres:/);
    expect(message).toMatch(/GATEHOUSE_MASTER_KEY must be 32 bytes in base64/);
    expect(message).toMatch(/LOG_LEVEL/);
    expect(message).not.toMatch(/hunter2|c2hvcnQ|not-long/);
  });

  it('takes where notifications may go by name, by address and by range', () => {
    const config = loadConfig({ GATEHOUSE_NOTIFY_ALLOW: 'hooks.internal, 10.20.0.0/16,::1' });
    expect(config.notifications.allowedAddresses).toEqual(['hooks.internal', '10.20.0.0/16', '::1']);
    expect(loadConfig({}).notifications).toEqual({
      allowedAddresses: [],
      pagerDutyUrl: 'https://events.pagerduty.com/v2/enqueue',
    });
    for (const wrong of ['10.0.0.0/33', 'https://hooks.internal', 'hooks.internal,', 'hooks/8', '*', 'a b']) {
      expect(problemsOf({ GATEHOUSE_NOTIFY_ALLOW: wrong })).toMatch(
        /GATEHOUSE_NOTIFY_ALLOW must be host names, addresses and ranges .*for example GATEHOUSE_NOTIFY_ALLOW=hooks/,
      );
    }
  });

  it('takes proxies by address and by range, and nothing else for one', () => {
    const config = loadConfig({ GATEHOUSE_TRUSTED_PROXIES: '10.0.0.0/8, 2001:db8::/32,192.0.2.1' });
    expect(config.trustedProxies).toEqual(['10.0.0.0/8', '2001:db8::/32', '192.0.2.1']);
    expect(loadConfig({}).trustedProxies).toEqual([]);
    for (const wrong of ['10.0.0.0/33', 'proxy.internal', '10.0.0.1,', '10.0.0.1 10.0.0.2', 'true']) {
      expect(problemsOf({ GATEHOUSE_TRUSTED_PROXIES: wrong })).toMatch(
        /GATEHOUSE_TRUSTED_PROXIES must be addresses and ranges .*for example GATEHOUSE_TRUSTED_PROXIES=10/,
      );
    }
  });

  it('prefers the environment to the file, and treats an empty variable as absent', () => {
    const path = join(folder, 'gatehouse.yaml');
    writeFileSync(path, 'PORT: 9000\nGATEHOUSE_REGION: us\n');
    const config = loadConfig({ GATEHOUSE_CONFIG: path, PORT: '9001', GATEHOUSE_REGION: '' });
    expect(config.port).toBe(9001);
    expect(config.region).toBe('us');
  });

  it('refuses a file with a name that is no setting, and one that is not there', () => {
    const path = join(folder, 'gatehouse.yaml');
    writeFileSync(path, 'PROT: 9000\n');
    expect(problemsOf({ GATEHOUSE_CONFIG: path })).toContain('PROT');
    expect(problemsOf({ GATEHOUSE_CONFIG: join(folder, 'absent') })).toContain('YAML');
  });

  it('makes a provider available from its own variable, in the words that it speaks itself', () => {
    const { environmentProviders } = loadConfig({
      OPENAI_API_KEY: 'sk-test',
      ANTHROPIC_API_KEY: 'sk-ant-test',
      GEMINI_API_KEY: 'AIza-test',
      AZURE_OPENAI_API_KEY: 'azure-test',
      AZURE_OPENAI_BASE_URL: 'https://acme.openai.azure.com/',
      AWS_BEARER_TOKEN_BEDROCK: 'bedrock-test',
      AWS_REGION: 'eu-central-1',
      GROQ_API_KEY: 'gsk_test',
      OLLAMA_BASE_URL: 'http://127.0.0.1:11434/v1/',
      KAPA_API_KEY: 'kapa-test',
      KAPA_PROJECT_ID: 'project-1',
    });
    expect(environmentProviders.map((p) => [p.name, p.kind, p.baseUrl, p.apiKey, p.settings])).toEqual([
      ['openai', 'openai', 'https://api.openai.com/v1', 'sk-test', {}],
      ['anthropic', 'anthropic', 'https://api.anthropic.com/v1', 'sk-ant-test', {}],
      ['google', 'gemini', 'https://generativelanguage.googleapis.com/v1beta', 'AIza-test', {}],
      ['azure', 'azure', 'https://acme.openai.azure.com/openai/v1', 'azure-test', {}],
      [
        'bedrock',
        'bedrock',
        'https://bedrock-runtime.eu-central-1.amazonaws.com',
        'bedrock-test',
        { awsRegion: 'eu-central-1' },
      ],
      ['groq', 'openai-compatible', 'https://api.groq.com/openai/v1', 'gsk_test', {}],
      ['ollama', 'ollama', 'http://127.0.0.1:11434/v1', null, {}],
      ['kapa', 'kapa', 'https://api.kapa.ai', 'kapa-test', { projectId: 'project-1' }],
    ]);
  });

  it('takes AWS keys for Bedrock where the region is named, its own kind of key first', () => {
    const keys = { AWS_ACCESS_KEY_ID: 'AKIATEST', AWS_SECRET_ACCESS_KEY: 'secret-of-test' };
    const apiKeys = (environment: Record<string, string>) =>
      loadConfig(environment).environmentProviders.map(({ apiKey }) => apiKey);
    expect(apiKeys(keys)).toEqual([]);
    expect(apiKeys({ AWS_REGION: 'us-east-1' })).toEqual([]);
    expect(apiKeys({ ...keys, AWS_REGION: 'local' })).toEqual([]);
    expect(apiKeys({ ...keys, AWS_REGION: 'us-east-1' })).toEqual(['AKIATEST:secret-of-test']);
    expect(apiKeys({ ...keys, AWS_REGION: 'us-east-1', AWS_SESSION_TOKEN: 'session' })).toEqual([
      'AKIATEST:secret-of-test:session',
    ]);
    expect(apiKeys({ ...keys, AWS_REGION: 'us-east-1', AWS_BEARER_TOKEN_BEDROCK: 'b' })).toEqual(['b']);
  });

  it('says which variable a provider still lacks, together with all other problems', () => {
    const message = problemsOf({
      PORT: 'eighty',
      AZURE_OPENAI_API_KEY: 'azure-test',
      AWS_BEARER_TOKEN_BEDROCK: 'bedrock-test',
      KAPA_API_KEY: 'kapa-test',
    });
    expect(message).toMatch(/PORT must be a whole number/);
    expect(message).toMatch(/AZURE_OPENAI_BASE_URL is needed for AZURE_OPENAI_API_KEY, for example/);
    expect(message).toMatch(/AWS_REGION is needed for AWS_BEARER_TOKEN_BEDROCK/);
    expect(problemsOf({ AWS_BEARER_TOKEN_BEDROCK: 'b', AWS_REGION: 'local' })).toMatch(
      /AWS_REGION is needed/,
    );
    expect(message).toMatch(/KAPA_PROJECT_ID is needed for KAPA_API_KEY/);
  });

  it('has every variable in its documentation', () => {
    const documented = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
    const missing = knownVariables().filter((name) => !documented.includes(`\`${name}\``));
    expect(missing).toEqual([]);
  });

  it('takes S3 whole or not at all', () => {
    expect(loadConfig({}).s3).toBeNull();
    const keys = { S3_ACCESS_KEY_ID: 'test-id', S3_SECRET_ACCESS_KEY: 'test-secret' };
    expect(loadConfig({ S3_BUCKET: 'papers', ...keys }).s3).toEqual({
      endpoint: null,
      bucket: 'papers',
      region: 'us-east-1',
      accessKeyId: 'test-id',
      secretAccessKey: 'test-secret',
    });
    expect(() => loadConfig({ S3_ENDPOINT: 'http://127.0.0.1:9000', ...keys })).toThrow(
      /S3_BUCKET is needed for S3, for example S3_BUCKET=gatehouse/,
    );
  });

  it('reads how much is cached, where, and for how long', () => {
    expect(loadConfig({})).toMatchObject({
      redisUrl: null,
      cache: {
        maxBytes: 67_108_864,
        maxRedisBytesPerTenant: 268_435_456,
        ttlMs: 3_600_000,
        staleMs: 86_400_000,
      },
    });
    const given = { REDIS_URL: 'redis://:p@127.0.0.1:6379/1', GATEHOUSE_CACHE_STALE_SECONDS: '0' };
    expect(loadConfig(given)).toMatchObject({ redisUrl: given.REDIS_URL, cache: { staleMs: 0 } });
    expect(() => loadConfig({ GATEHOUSE_CACHE_TTL_SECONDS: '90000' })).toThrow(/from 1 to 86400/);
    expect(() => loadConfig({ REDIS_URL: 'http://x:secret-of-test@y' })).toThrow(
      /^(?!.*secret-of-test).*REDIS_URL must be a URL that starts with redis/s,
    );
  });

  it('takes limits from a section of the file, and leaves the others as they are built in', () => {
    const file = join(folder, 'limits.yaml');
    writeFileSync(
      file,
      'limits: { tiers: { free: { queries_per_second: 0.5, queries_per_day: unlimited } } }',
    );
    const { limits } = loadConfig({ GATEHOUSE_CONFIG: file });
    expect(limits).toEqual({
      tiers: { free: { queries_per_second: 0.5, queries_per_day: null } },
      weights: { prompt_execute: 10, workflow_execute: 50, evaluation_batch: 100 },
      unauthenticatedPerMinute: 10,
      redisDown: { rates: 'open', spend: 'closed' },
    });
  });

  it('names every figure of limits that cannot be, together with all other problems', () => {
    const file = join(folder, 'limits.yaml');
    const lines = (text: string) => {
      writeFileSync(file, text);
      return problemsOf({ GATEHOUSE_CONFIG: file, PORT: 'eighty' })
        .split('\n')
        .slice(1)
        .map((l) => l.trim());
    };
    const starter =
      '{ queries_per_second: 0.0005, burst: unlimited, tokens_per_day: .nan, concurrent: 1.5, x: 1 }';
    const problems = lines(
      `limits: { tiers: { starter: ${starter}, gold: {} }, redis_down: { rates: ajar } }`,
    );
    expect(problems).toHaveLength(8);
    expect(problems[0]).toMatch(/^PORT must be/);
    expect(problems[1]).toMatch(/^limits.tiers.starter.queries_per_second must be a number from 0.001/);
    expect(problems[2]).toMatch(/^limits.tiers.starter.burst must be a whole number from 1/);
    expect(problems[3]).toMatch(/^limits.tiers.starter.tokens_per_day must be .*unlimited; see docs/);
    expect(problems[4]).toMatch(/^limits.tiers.starter.concurrent must be/);
    expect(problems.join()).toMatch(/limits.tiers.starter Unrecognized key: "x"/);
    expect(problems.join()).toMatch(/limits.tiers Unrecognized key: "gold"/);
    expect(problems.join()).toMatch(/limits.redis_down.rates must be open or closed/);
    expect(lines('limits: 5')).toHaveLength(2);
  });

  it('notices names that nothing reads', () => {
    expect(
      unknownVariables({
        GATEHOUSE_DATADIR: 'x',
        GATEHOUSE_DATA_DIR: 'x',
        GATEHOUSE_API_KEY: 'x',
        PATH: '/',
      }),
    ).toEqual(['GATEHOUSE_DATADIR']);
  });
});

describe('where the command line calls', () => {
  it.each([
    [{}, 'http://127.0.0.1:8080'],
    [{ PORT: '9000' }, 'http://127.0.0.1:9000'],
    [{ HOST: '0.0.0.0' }, 'http://127.0.0.1:8080'],
    [{ HOST: '::' }, 'http://[::1]:8080'],
    [{ HOST: 'fe80::1' }, 'http://[fe80::1]:8080'],
    [{ GATEHOUSE_URL: 'https://models.example.com/', PORT: '9000' }, 'https://models.example.com'],
  ])('%j is %s', (environment, url) => {
    expect(loadClientConfig(environment).url).toBe(url);
  });

  it('does not complain about settings of the server', () => {
    expect(loadClientConfig({ DATABASE_URL: 'nonsense', GATEHOUSE_API_KEY: 'gh_test' }).apiKey).toBe(
      'gh_test',
    );
  });
});
