import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findBinaries } from './binaries.ts';
import { initialiseDatabase } from './initialise.ts';
import { chooseServerUser } from './server-user.ts';

describe.runIf(process.geteuid?.() === 0 && process.platform === 'linux')('as root', () => {
  let parent: string;
  beforeEach(() => {
    // Mode 0700: nobody else may enter.
    parent = mkdtempSync(join(tmpdir(), 'gh-user-'));
  });
  afterEach(() => rmSync(parent, { recursive: true, force: true }));

  it('the programs run even where only root may go, as after installing in its home directory', async () => {
    const dataDir = join(parent, 'data');
    mkdirSync(dataDir);
    const { postgres } = await findBinaries(dataDir);
    const native = join(parent, 'native');
    cpSync(dirname(dirname(postgres)), native, { recursive: true, verbatimSymlinks: true });
    const binaries = {
      initdb: join(native, 'bin', 'initdb'),
      postgres: join(native, 'bin', 'postgres'),
      environment: {},
    };
    const user = await chooseServerUser(dataDir, binaries);
    expect(user.owner).toEqual({ uid: 65_534, gid: 65_534 });
    expect(await initialiseDatabase(dataDir, binaries, user)).toEqual({ created: true });
  });

  it('programs that cannot run at all are told with the remedy', async () => {
    const binaries = { initdb: '/nowhere/initdb', postgres: '/nowhere/postgres', environment: {} };
    await expect(chooseServerUser(parent, binaries)).rejects.toMatchObject({
      code: 'database_unavailable',
      message: expect.stringContaining('GATEHOUSE_DATA_DIR'),
    });
  });
});
