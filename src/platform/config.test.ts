import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadClientConfig, loadConfig, unknownVariables, unusedEngines } from './config.ts';
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

  it('makes a provider available from its own variable', () => {
    const { environmentProviders } = loadConfig({
      GROQ_API_KEY: 'gsk_test',
      OLLAMA_BASE_URL: 'http://127.0.0.1:11434/v1/',
    });
    expect(environmentProviders.map((p) => [p.name, p.baseUrl, p.apiKey])).toEqual([
      ['groq', 'https://api.groq.com/openai/v1', 'gsk_test'],
      ['ollama', 'http://127.0.0.1:11434/v1', null],
    ]);
  });

  it('notices engines that it does not use', () => {
    expect(unusedEngines({ REDIS_URL: 'redis://127.0.0.1', S3_BUCKET: '', HOME: '/' })).toEqual([
      'REDIS_URL',
    ]);
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
