import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type LaunchedServer, launchServer } from '../harness/server.ts';
import { withDatabase } from './check-database.ts';
import { createFigures, type Figures } from './figures.ts';
import { type CrashRun, report } from './house.ts';
import { countsOf } from './journal.ts';
import { checkPrinted, type Printed } from './secrets.ts';
import { aim, clearAway, lingering, type Target } from './victim.ts';

/** The lives of the server on one data directory after another, one at a time. */
export interface Lives {
  /** The address of the running server; starts one when none runs, and waits until it is ready. */
  begin(): Promise<string>;
  isRunning(): boolean;
  /** Kills the running server when the moment comes. */
  kill(target: Target, moment: () => Promise<void>): Promise<void>;
  /** Kills PostgreSQL under the running server and waits until it is whole again. */
  killDatabase(moment: () => Promise<void>): Promise<void>;
  /** Starts a server and kills it before it is ready, or soon after. @param moment 0 to 1: from the first instant on. */
  killDuringStart(target: Target, moment: number): Promise<void>;
  /** A graceful end. */
  stop(): Promise<void>;
  /** Of PostgreSQL alone, in this life. */
  databaseKills(): number;
  /** What first boot has said, and whether it is done. */
  readonly printed: Printed;
  /** Begins anew on an empty directory. */
  forgetPrinted(): void;
  clearAway(): Promise<void>;
  readonly figures: Figures;
}

/** Starts that fail one after the other before the run is given up. */
const maxFailedStarts = 3;
const stopWithinMs = 60_000;
const wholeWithinMs = 90_000;
/** Readers look twice a second whether their server is there. */
const lingeringWithinMs = 10_000;
/** How long a start is taken to last before the first one was measured. */
const assumedStartMs = 3_500;

export function createLives(run: CrashRun, say: (line: string) => void): Lives {
  let server: LaunchedServer | null = null;
  let url = '';
  let isLater = false;
  /** What the start before ended with. */
  let before = 'nothing';
  let databaseKills = 0;
  let usualMs = assumedStartMs;
  const figures = createFigures();
  const looks: Promise<void>[] = [];
  const printed: Printed = { firstBootIsDone: false, passwords: new Set() };

  function launch(): LaunchedServer {
    databaseKills = 0;
    isLater = printed.firstBootIsDone;
    server = launchServer(run.dataDir);
    return server;
  }

  async function untilReady(launched: LaunchedServer): Promise<void> {
    const began = performance.now();
    url = await launched.ready;
    usualMs = performance.now() - began;
    figures.took(isLater ? `start after ${before}` : `first boot after ${before}`, usualMs);
  }

  async function ended(launched: LaunchedServer): Promise<number | null> {
    const code = await launched.exited;
    server = null;
    const output = launched.output();
    checkPrinted(run, printed, output, isLater);
    await appendFile(join(run.dataDir, 'printed.log'), output.stdout + output.stderr);
    return code;
  }

  async function killAt(moment: Promise<unknown>, launched: LaunchedServer, target: Target): Promise<void> {
    const { family, fire } = aim(launched, run.dataDir, target);
    await moment;
    if (hasEnded(launched)) report(run, 'start', `the server ended by itself: ${tail(launched)}`);
    fire();
    before = target;
    await ended(launched);
    looks.push(
      lingering(family, lingeringWithinMs).then((left) => {
        if (left.length > 0) report(run, 'leftovers', `still running after their server: ${left.join(', ')}`);
      }),
    );
  }

  function tell(what: string): void {
    const {
      documents_acknowledged: documents,
      deletions_acknowledged: deletions,
      ...known
    } = countsOf(run.journal);
    say(
      `kill ${figures.kills()}: ${what}; ${documents} documents, ${deletions} deletions, ${known.calls_finished} calls, ` +
        `${run.violations.length} violations`,
    );
  }

  async function untilWhole(launched: LaunchedServer): Promise<number> {
    const began = performance.now();
    for (;;) {
      if (hasEnded(launched)) {
        report(run, 'start', `the server ended with its database: ${tail(launched)}`);
        await ended(launched);
        return performance.now() - began;
      }
      const reply = await fetch(`${url}/health/ready`).catch(() => null);
      if (reply?.status === 200 && (await answersAgain())) return performance.now() - began;
      if (performance.now() - began > wholeWithinMs) {
        report(run, 'start', `not whole ${wholeWithinMs} ms after its database was killed`);
        return wholeWithinMs;
      }
      await pause(20);
    }
  }

  const answersAgain = () =>
    withDatabase(run.dataDir, (client) => client.query('select 1')).then(
      () => true,
      () => false,
    );

  return {
    printed,
    isRunning: () => server !== null,
    figures,
    databaseKills: () => databaseKills,

    async begin() {
      for (let failed = 0; server === null; ) {
        const launched = launch();
        try {
          await untilReady(launched);
        } catch (error) {
          report(run, 'start', error instanceof Error ? error.message : String(error));
          await clearAway(launched, run.dataDir);
          await ended(launched);
          if (++failed === maxFailedStarts) throw error;
        }
      }
      return url;
    },

    async kill(target, moment) {
      if (server === null) return;
      await killAt(moment(), server, target);
      figures.killed(target);
      tell(target);
    },

    async killDatabase(moment) {
      if (server === null) return;
      const { fire } = aim(server, run.dataDir, 'database');
      await moment();
      fire();
      databaseKills += 1;
      figures.killed('database');
      const ms = await untilWhole(server);
      figures.took('whole again after database', ms);
      tell(`database alone, whole again in ${Math.round(ms)} ms`);
    },

    async killDuringStart(target, moment) {
      const launched = launch();
      const dueMs = moment * usualMs * 1.2;
      await Promise.race([pause(dueMs), launched.exited]);
      // What it has started by now is only known now.
      await killAt(Promise.resolve(), launched, target);
      figures.killed(`${target} during start`);
      tell(`${target} ${Math.round(dueMs)} ms into the start`);
    },

    async stop() {
      if (server === null) return;
      const stopping = server;
      stopping.process.kill('SIGTERM');
      const late = pause(stopWithinMs, 'late' as const, { ref: false });
      if ((await Promise.race([stopping.exited, late])) === 'late') {
        report(run, 'stop', `no graceful stop within ${stopWithinMs} ms: ${tail(stopping)}`);
        await clearAway(stopping, run.dataDir);
      }
      const code = await ended(stopping);
      if (code !== 0) report(run, 'stop', `a graceful stop ended with ${code}: ${tail(stopping)}`);
      before = 'graceful stop';
      await Promise.all(looks.splice(0));
    },

    forgetPrinted() {
      printed.firstBootIsDone = false;
      printed.passwords.clear();
      before = 'nothing';
    },

    async clearAway() {
      await clearAway(server, run.dataDir);
      if (server !== null) await ended(server);
      await Promise.all(looks.splice(0));
    },
  };
}

function hasEnded({ process: { exitCode, signalCode } }: LaunchedServer): boolean {
  return exitCode !== null || signalCode !== null;
}

function tail(server: LaunchedServer): string {
  return server.output().stderr.slice(-2_000);
}
