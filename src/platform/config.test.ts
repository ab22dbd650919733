import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig, unknownVariables } from './config.ts';
import { AppError } from './errors.ts';

describe('configuration', () => {
  it('has working defaults for everything', () => {
    const config = loadConfig({});
    expect(config).toMatchObject({
      host: '127.0.0.1',
      port: 8080,
      databaseUrl: null,
      databasePool: { min: 10, max: 20 },
      drainMs: 5_000,
      shutdownMs: 30_000,
      environmentProviders: [],
    });
  });

  it('reports every problem together, each with its name and an example', () => {
    const wrong = {
      PORT: 'eighty',
      DATABASE_URL: 'mysql://x',
      GATEHOUSE_MASTER_KEY: 'short',
      LOG_LEVEL: 'loud',
    };
    const error = problemOf(() => loadConfig(wrong));
    expect(error.code).toBe('config_invalid');
    expect(error.errors.map((e) => e.path).sort()).toEqual(Object.keys(wrong).sort());
    expect(error.message).toContain('PORT=8080');
  });

  it('never repeats a wrong secret', () => {
    const error = problemOf(() =>
      loadConfig({ GATEHOUSE_ADMIN_KEY: 'not-long', GATEHOUSE_MASTER_KEY: 'c2VjcmV0' }),
    );
    expect(error.message).not.toContain('not-long');
    expect(error.message).not.toContain('c2VjcmV0');
  });

  it('makes a provider available when its own variable is set', () => {
    const config = loadConfig({ OPENAI_API_KEY: 'sk-test', OLLAMA_BASE_URL: 'http://127.0.0.1:11434/' });
    expect(config.environmentProviders).toEqual([
      { name: 'openai', kind: 'openai', baseUrl: 'https://api.openai.com/v1', apiKey: 'sk-test' },
      { name: 'ollama', kind: 'openai', baseUrl: 'http://127.0.0.1:11434/v1', apiKey: null },
    ]);
  });

  it('reads a YAML file, and the environment wins over it', () => {
    const directory = mkdtempSync(join(tmpdir(), 'gatehouse-config-'));
    try {
      const path = join(directory, 'gatehouse.yaml');
      writeFileSync(path, 'PORT: 9000\nHOST: 0.0.0.0\n');
      expect(loadConfig({ GATEHOUSE_CONFIG: path, PORT: '9001' })).toMatchObject({
        port: 9001,
        host: '0.0.0.0',
      });
      writeFileSync(path, 'PROT: 9000\n');
      expect(problemOf(() => loadConfig({ GATEHOUSE_CONFIG: path })).message).toContain('PROT');
      expect(problemOf(() => loadConfig({ GATEHOUSE_CONFIG: join(directory, 'absent') })).message).toContain(
        'YAML',
      );
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('notices a misspelt variable', () => {
    expect(unknownVariables({ GATEHOUSE_DATADIR: 'x', GATEHOUSE_DATA_DIR: 'y', HOME: '/' })).toEqual([
      'GATEHOUSE_DATADIR',
    ]);
  });
});

function problemOf(work: () => unknown): AppError {
  try {
    work();
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('expected a failure');
}
