import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const logModule = JSON.stringify(fileURLToPath(new URL('./log.ts', import.meta.url)));

describe('createLog', () => {
  // Every write to /dev/full fails as on a full disk.
  it.runIf(existsSync('/dev/full'))(
    'neither ends nor holds up a process whose log cannot be written',
    async () => {
      const script = `
      const { createLog } = await import(${logModule});
      const log = createLog('info');
      for (let count = 0; count < 3; count++) {
        log.info({ count }, 'a line');
        await new Promise((resolve) => setImmediate(resolve));
      }
      console.log('still here');
      log.info('a last line');
      process.exit(7);`;
      const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
        stdio: ['ignore', 'pipe', openSync('/dev/full', 'w')],
      });
      let said = '';
      child.stdout?.on('data', (chunk) => {
        said += chunk;
      });
      const [code] = await once(child, 'exit');
      expect({ code, said }).toEqual({ code: 7, said: 'still here\n' });
    },
  );
});
