import { existsSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isRunning, linkNode, makeStubCheckout, type StubCheckout, until } from './stub-checkout.ts';

const library = { version: '1.0.0', integrity: 'sha512-a' };
const testTool = { version: '2.0.0', integrity: 'sha512-b', dev: true };
const elsewhere = { version: '3.0.0', integrity: 'sha512-c', optional: true, os: ['aix'], cpu: ['ppc64'] };
const packages = {
  'node_modules/library': library,
  'node_modules/test-tool': testTool,
  'node_modules/elsewhere': elsewhere,
};

let checkout: StubCheckout;
beforeEach(() => {
  checkout = makeStubCheckout();
  checkout.writeLockFile(packages);
});
afterEach(() => checkout.remove());

/** Runs the installation alone, as `npm start` (production) or `npm test` (everything) would. */
const install = (set: 'production' | 'everything', environment: Record<string, string> = {}) =>
  checkout.runNode(installing(set), environment);
const installing = (set: string) => [
  '--input-type=module',
  '--eval',
  `const { ensureInstalled } = await import('${checkout.root}/bin/install.mjs');
   await ensureInstalled('${checkout.root}', '${set}');`,
];
const inPath = (...names: string[]) => join(checkout.root, ...names);
const lockExists = () => existsSync(inPath('.gatehouse-install.lock'));

describe('packages', () => {
  it('are installed at the first start and not at the next', async () => {
    for (const _ of ['first', 'next']) {
      const { code, stdout } = await checkout.runNode(['bin/gatehouse.mjs', 'print', 'hello']).ended;
      expect({ code, stdout }).toEqual({ code: 0, stdout: 'hello\n' });
    }
    expect(checkout.notes()).toEqual(['npm production', 'npm done', 'started', 'started']);
    expect(lockExists()).toBe(false);
  });

  it('are installed again when the lock file changed', async () => {
    await install('production').ended;
    checkout.writeLockFile({ ...packages, 'node_modules/library': { ...library, version: '1.0.1' } });
    await install('production').ended;
    expect(checkout.notes()).toEqual(['npm production', 'npm done', 'npm production', 'npm done']);
  });

  it('for tests are added by npm test, and stay when the lock file changes', async () => {
    await install('production').ended;
    await install('everything').ended;
    await install('production').ended;
    checkout.writeLockFile({ ...packages, 'node_modules/more': library });
    await install('production').ended;
    const runs = checkout.notes().filter((note) => note !== 'npm done');
    expect(runs).toEqual(['npm production', 'npm everything', 'npm everything']);
  });

  it('that someone installed by hand are used as they are', async () => {
    const present = { 'node_modules/library': library, 'node_modules/test-tool': testTool };
    writeFileSync(inPath('node_modules', '.package-lock.json'), JSON.stringify({ packages: present }));
    await install('everything').ended;
    expect(checkout.notes()).toEqual(['']);
  });

  it('that someone took away by hand are noticed', async () => {
    await install('everything').ended;
    const record = inPath('node_modules', '.package-lock.json');
    writeFileSync(record, JSON.stringify({ packages: { 'node_modules/library': library } }));
    // Later than the mark, whatever the grain of the file system's clock.
    const later = Date.now() / 1000 + 60;
    utimesSync(record, later, later);
    await install('everything').ended;
    expect(checkout.notes().filter((note) => note === 'npm everything')).toHaveLength(2);
  });

  it('for exactly this platform are not optional', async () => {
    const here = { ...elsewhere, os: [process.platform], cpu: [process.arch] };
    checkout.writeLockFile({ 'node_modules/library': library, 'node_modules/here': here });
    const present = { 'node_modules/library': library };
    writeFileSync(inPath('node_modules', '.package-lock.json'), JSON.stringify({ packages: present }));
    await install('production').ended;
    expect(checkout.notes()).toEqual(['npm production', 'npm done']);
  });
});

describe('installing', () => {
  it('is done by one of several that start at once; the others wait for it', async () => {
    const runs = Array.from({ length: 4 }, () => install('production', { STUB_NPM: 'waits' }));
    await checkout.noted('npm waits');
    expect(lockExists()).toBe(true);
    writeFileSync(inPath('go-on'), '');
    for (const run of runs) expect(await run.ended).toMatchObject({ code: 0 });
    expect(checkout.notes()).toEqual(['npm production', 'npm waits', 'npm done']);
    expect(lockExists()).toBe(false);
  });

  it('starts over after it was killed half-way', async () => {
    const killed = install('everything', { STUB_NPM: 'waits' });
    await checkout.noted('npm waits');
    process.kill(-killed.pid, 'SIGKILL');
    await killed.ended;
    const { stderr } = await install('production').ended;
    expect(stderr).toContain('starting over');
    expect(existsSync(inPath('node_modules', 'half-written'))).toBe(false);
    // What was being installed when it was cut off is what its user needs.
    expect(checkout.notes().slice(2)).toEqual(['npm everything', 'npm done']);
  });

  it('does not wait for one whose end nobody has noticed', async () => {
    checkout.runNodeUnnoticed(installing('production'), { STUB_NPM: 'waits' });
    await checkout.noted('npm waits');
    const { pid, child } = JSON.parse(readFileSync(inPath('.gatehouse-install.lock'), 'utf8'));
    for (const one of [pid, child]) process.kill(one, 'SIGKILL');
    await until('it has ended', () => !isRunning(pid));
    expect(existsSync(`/proc/${pid}`)).toBe(true);
    expect((await install('production').ended).stderr).not.toContain('waiting');
    expect(checkout.notes().at(-1)).toBe('npm done');
  });

  it('is waited for when only the launcher was killed and npm goes on', async () => {
    const killed = install('production', { STUB_NPM: 'waits' });
    await checkout.noted('npm waits');
    process.kill(killed.pid, 'SIGKILL');
    await killed.ended;
    const next = install('production');
    let said = '';
    next.child.stderr?.on('data', (chunk) => {
      said += chunk;
    });
    await until('it says that it waits', () => said.includes('waiting'));
    writeFileSync(inPath('go-on'), '');
    expect(await next.ended).toMatchObject({ code: 0 });
    expect(checkout.notes()).toEqual(['npm production', 'npm waits', 'npm done']);
  });

  it('that was interrupted ends npm too', async () => {
    const run = install('production', { STUB_NPM: 'waits' });
    await checkout.noted('npm waits');
    process.kill(run.pid, 'SIGINT');
    const { code } = await run.ended;
    expect(code).not.toBe(0);
    expect(isRunning(checkout.pidOf('npm'))).toBe(false);
  });

  it('without a network says what to do, and leaves the way free for the next try', async () => {
    const { code, stdout, stderr } = await checkout.runNode(['bin/gatehouse.mjs', 'serve'], {
      STUB_NPM: 'offline',
    }).ended;
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('The package registry cannot be reached');
    expect(stderr).not.toContain('    at ');
    expect(lockExists()).toBe(false);
    await install('production').ended;
    expect(checkout.notes().at(-1)).toBe('npm done');
  });
});

describe('Node', () => {
  it('that is too old is told at once', async () => {
    const old = `Object.defineProperty(process.versions, 'node', { value: '18.20.0' });`;
    writeFileSync(inPath('old.mjs'), `${old} await import('./bin/gatehouse.mjs');`);
    const { code, stderr } = await checkout.runNode(['old.mjs']).ended;
    expect(code).toBe(1);
    expect(stderr).toContain('needs Node 20 or newer');
    expect(checkout.notes()).toEqual(['']);
  });

  it('may be the one that is there, where install scripts are forbidden', async () => {
    rmSync(inPath('node_modules', 'node'), { recursive: true });
    const { stdout } = await checkout.runNode(['bin/gatehouse.mjs', 'print', 'hello']).ended;
    expect(stdout).toBe('hello\n');
  });

  it('has to be brought where the one that is there cannot run Gatehouse', async () => {
    rmSync(inPath('node_modules', 'node'), { recursive: true });
    const older = `Object.defineProperty(process.versions, 'node', { value: '20.0.0' });`;
    writeFileSync(inPath('older.mjs'), `${older} await import('./bin/gatehouse.mjs');`);
    const { code, stderr } = await checkout.runNode(['older.mjs']).ended;
    expect(code).toBe(1);
    expect(stderr).toContain('npm rebuild');
    linkNode(checkout.root);
    expect(await checkout.runNode(['older.mjs']).ended).toMatchObject({ code: 0 });
  });
});

describe('the scripts of package.json', () => {
  it('leave no shell between npm and the launcher, which would not pass signals on', () => {
    const { scripts } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(scripts.start).toBe('exec node bin/gatehouse.mjs serve');
    expect(scripts.test).toBe('exec node bin/test.mjs');
  });
});
