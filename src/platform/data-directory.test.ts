import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { inspectDataDirectory, openDataDirectory } from './data-directory.ts';
import { AppError } from './errors.ts';

const isRoot = process.geteuid?.() === 0;
let parent: string;
let directory: string;
let children: ChildProcess[];

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'gatehouse-data-directory-'));
  directory = join(parent, 'data');
  children = [];
});

afterEach(async () => {
  for (const child of children)
    if (child.exitCode === null && child.kill('SIGKILL')) await once(child, 'exit');
  rmSync(parent, { recursive: true, force: true });
});

/** Another process that holds the directory until it is killed. */
async function holdFromAnotherProcess(): Promise<ChildProcess> {
  const module = fileURLToPath(new URL('./data-directory.ts', import.meta.url));
  const script =
    `const { openDataDirectory } = await import(${JSON.stringify(module)});` +
    `openDataDirectory(${JSON.stringify(directory)}); console.log('held'); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  await once(child.stdout, 'data');
  return child;
}

async function killHard(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

function refusal(open: () => unknown): AppError {
  try {
    open();
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

describe('openDataDirectory', () => {
  it('makes the directory for its owner only, writes its version, and leaves no lock when released', () => {
    const opened = openDataDirectory(join(directory, 'deep'));
    expect(opened.path).toBe(join(directory, 'deep'));
    expect(statSync(opened.path).mode & 0o777).toBe(0o700);
    expect(JSON.parse(readFileSync(join(opened.path, 'VERSION'), 'utf8'))).toEqual({
      layout: 1,
      postgresql: 18,
    });
    opened.release();
    opened.release();
    expect(readdirSync(opened.path).sort()).toEqual(['VERSION', 'gatehouse.lock']);
    openDataDirectory(opened.path).release();
  });

  it('refuses a second opening in the same process', () => {
    const opened = openDataDirectory(directory);
    expect(refusal(() => openDataDirectory(directory)).code).toBe('data_directory');
    opened.release();
    openDataDirectory(directory).release();
  });

  it('refuses while another process lives, and takes over as soon as it was killed', async () => {
    const other = await holdFromAnotherProcess();
    const refused = refusal(() => openDataDirectory(directory));
    expect(refused.message).toContain(`process ${other.pid}`);
    expect(refused.message).toContain('GATEHOUSE_DATA_DIR');
    await killHard(other);
    expect(inspectDataDirectory(directory).lock).toMatchObject({
      state: 'stale',
      holder: { pid: other.pid },
    });
    openDataDirectory(directory).release();
  });

  it('refuses while another process lives even when someone deleted the lock file', async () => {
    await holdFromAnotherProcess();
    rmSync(join(directory, 'gatehouse.lock'));
    expect(refusal(() => openDataDirectory(directory)).code).toBe('data_directory');
  });

  it('lets the lock decide, not a number that went to another process', () => {
    mkdirSync(directory);
    writeFileSync(
      join(directory, 'gatehouse.pid'),
      JSON.stringify({ pid: process.ppid, startedAt: 'long ago' }),
    );
    openDataDirectory(directory).release();
  });

  it('starts over a holder file that was cut off or is not one', () => {
    mkdirSync(directory);
    for (const text of ['', '{"pid":', '[]', 'null', '{"pid":"x"}']) {
      writeFileSync(join(directory, 'gatehouse.pid'), text);
      openDataDirectory(directory).release();
    }
  });

  it.each([
    ['a newer layout', '{"layout":99,"postgresql":18}', 'newer Gatehouse'],
    ['something else', 'version one', 'cannot be understood'],
  ])('refuses a directory whose version is %s, and does not keep it locked', (_, version, words) => {
    mkdirSync(directory);
    writeFileSync(join(directory, 'VERSION'), version);
    const refused = refusal(() => openDataDirectory(directory));
    expect(refused.code).toBe('data_directory');
    expect(refused.message).toContain(words);
    expect(inspectDataDirectory(directory).lock).toEqual({ state: 'free' });
  });

  it('minds the PostgreSQL version only where there is an embedded database', () => {
    mkdirSync(directory);
    writeFileSync(join(directory, 'VERSION'), '{"layout":1,"postgresql":17}');
    openDataDirectory(directory).release();
    mkdirSync(join(directory, 'postgres'));
    expect(refusal(() => openDataDirectory(directory)).message).toContain('PostgreSQL 17');
  });

  it('refuses a file in its place, and a place where it cannot be made', () => {
    writeFileSync(directory, '');
    expect(refusal(() => openDataDirectory(directory)).code).toBe('data_directory');
    expect(refusal(() => openDataDirectory(join(directory, 'below'))).code).toBe('data_directory');
  });

  it.runIf(isRoot)('refuses a directory of another user', () => {
    mkdirSync(directory);
    chownSync(directory, 12_345, 12_345);
    expect(refusal(() => openDataDirectory(directory)).message).toContain('another user');
    expect(inspectDataDirectory(directory).findings).toMatchObject([{ severity: 'error' }]);
  });

  it('refuses a directory that cannot be written', () => {
    mkdirSync(directory, { mode: 0o500 });
    // For root every directory can be written, so as root this is tried as another user.
    const other = isRoot ? { uid: 65_534, gid: 65_534 } : {};
    if (isRoot) for (const path of [parent, directory]) chownSync(path, 65_534, 65_534);
    const module = fileURLToPath(new URL('./data-directory.ts', import.meta.url));
    const script =
      `const { openDataDirectory } = await import(${JSON.stringify(module)});` +
      `try { openDataDirectory(${JSON.stringify(directory)}); } catch (error) { console.log(error.code, error.message); }`;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
      ...other,
      encoding: 'utf8',
    });
    expect(stdout).toMatch(/^data_directory .*cannot be written/);
  });
});

describe('inspectDataDirectory', () => {
  it('makes nothing', () => {
    expect(inspectDataDirectory(directory)).toMatchObject({
      exists: false,
      version: null,
      lock: { state: 'free' },
      findings: [],
    });
    expect(readdirSync(parent)).toEqual([]);
  });

  it('sees a holder without disturbing it', async () => {
    const other = await holdFromAnotherProcess();
    const before = readdirSync(directory).sort();
    const report = inspectDataDirectory(directory);
    expect(report.lock).toMatchObject({ state: 'held', holder: { pid: other.pid } });
    expect(report).toMatchObject({ exists: true, writable: true, version: { layout: 1, postgresql: 18 } });
    expect(report.freeBytes).toBeGreaterThan(0);
    expect(readdirSync(directory).sort()).toEqual(before);
  });

  it('warns of a directory that everyone may write', () => {
    mkdirSync(directory);
    chmodSync(directory, 0o777);
    expect(inspectDataDirectory(directory).findings).toMatchObject([
      { severity: 'warning', remedy: `Run: chmod 700 ${directory}` },
    ]);
  });
});
