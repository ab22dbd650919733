import { setTimeout as pause } from 'node:timers/promises';
import { createSimulator } from '../../tools/simulator/server.ts';
import { removeDirectory } from '../harness/server.ts';
import { checkIndexes } from './check-index.ts';
import { checkDataDirectory, checkSpool, leaveDraft } from './check-leftovers.ts';
import { checkAfterRestart, checkEverything } from './checks.ts';
import type { Times } from './figures.ts';
import { breakFirstBoots, crashDirectory } from './first-boots.ts';
import { type CrashRun, furnish, report, type Violation } from './house.ts';
import { countsOf, createJournal } from './journal.ts';
import { createLives, type Lives } from './lives.ts';
import { createDraws, type Draws } from './random.ts';
import { runTraffic } from './traffic.ts';
import type { Target } from './victim.ts';

export interface RoundsSettings {
  /** How many SIGKILLs in all. */
  readonly kills: number;
  /** Of these, how many during the very first start on an empty data directory. */
  readonly firstBootKills: number;
  /** Decides everything but when the machine gets round to it. */
  readonly seed: number;
  /** A full look at everything after each so many kills, besides the one at the end. */
  readonly lookEvery: number;
  /** Longest time between a server that takes requests and its end, in milliseconds. */
  readonly activityMs: number;
  /** Told of each kill and each look. */
  readonly progress?: (line: string) => void;
  /** Ends the run early, with a full look at what was done so far. */
  readonly signal?: AbortSignal;
}

export interface RoundsReport {
  readonly seed: number;
  /** How often whom, and when. */
  readonly kills: Readonly<Record<string, number>>;
  /** Milliseconds from the start of the process until it said that it was ready, by what had been killed. */
  readonly ready_ms: Readonly<Record<string, Times>>;
  readonly known: ReturnType<typeof countsOf>;
  readonly violations: readonly Violation[];
  /** Kept when something was violated. */
  readonly data_directory: string | null;
  readonly duration_s: number;
}

interface Plan {
  readonly target: Target;
  readonly when: 'under load' | 'during start';
}

/** Dealt out shuffled, so that each kind of kill comes as often as it stands here. */
const deck: readonly Plan[] = [
  { target: 'server', when: 'under load' },
  { target: 'server', when: 'under load' },
  { target: 'server', when: 'under load' },
  { target: 'server and database', when: 'under load' },
  { target: 'server and database', when: 'under load' },
  { target: 'family', when: 'under load' },
  { target: 'database', when: 'under load' },
  { target: 'database', when: 'under load' },
  { target: 'server', when: 'during start' },
  { target: 'family', when: 'during start' },
];

/** A server does not start its PostgreSQL again for ever. */
const databaseKillsPerLife = 3;
/** How long a kill waits for someone to be told something. */
const patienceMs = 1_000;

/**
 * Kills a server over and over while clients send documents and call models, and looks after each restart, and
 * thoroughly at the end, whether all that the clients were told is so.
 */
export async function runRounds(settings: RoundsSettings): Promise<RoundsReport> {
  const began = performance.now();
  const draws = createDraws(settings.seed);
  const simulator = createSimulator({
    seed: settings.seed,
    apiKey: 'sk-test-upstream',
    journalLimit: 1_000_000,
    latencyMs: 15,
    latencySigma: 0.7,
    firstTokenMs: 10,
    chunkDelayMs: 4,
    answerTokens: 30,
  });
  const run: CrashRun = {
    seed: settings.seed,
    dataDir: await crashDirectory(),
    simulator,
    journal: createJournal(),
    tenants: [],
    violations: [],
    round: 0,
    contents: 0,
  };
  const lives = createLives(run, (line) => settings.progress?.(line));
  try {
    const { url: upstream } = await simulator.start();
    await breakFirstBoots(run, lives, draws, settings);
    await furnish(run, await lives.begin(), upstream);
    await leaveDraft(run);
    await killUnderLoad(settings, run, lives, draws);
    await look(settings, run, lives, draws, 0);
  } catch (error) {
    report(run, 'run', `the run could not go on: ${error instanceof Error ? error.stack : String(error)}`);
  } finally {
    await lives.clearAway();
    await simulator.stop();
  }
  const isKept = run.violations.length > 0;
  if (!isKept) await removeDirectory(run.dataDir);
  return {
    seed: settings.seed,
    ...lives.figures.shown(),
    known: countsOf(run.journal),
    violations: run.violations,
    data_directory: isKept ? run.dataDir : null,
    duration_s: Math.round((performance.now() - began) / 1000),
  };
}

async function killUnderLoad(
  settings: RoundsSettings,
  run: CrashRun,
  lives: Lives,
  draws: Draws,
): Promise<void> {
  let plans: Plan[] = [];
  let lookedAt = 0;
  while (lives.figures.kills() < settings.kills && !settings.signal?.aborted) {
    if (plans.length === 0) plans = draws.shuffled(deck);
    const plan = plans.pop();
    if (!plan) continue;
    run.round += 1;
    const moment = draws.number();
    if (plan.when === 'during start' && !lives.isRunning()) await lives.killDuringStart(plan.target, moment);
    else await killWorking(settings, run, lives, plan.target, moment);
    if (lives.figures.kills() - lookedAt >= settings.lookEvery && lives.figures.kills() < settings.kills) {
      lookedAt = lives.figures.kills();
      await look(settings, run, lives, draws, run.round - settings.lookEvery);
    }
  }
}

/** One round: clients at work, the kill at a moment that nothing decides but chance, and what is left looked at. */
async function killWorking(
  settings: RoundsSettings,
  run: CrashRun,
  lives: Lives,
  target: Target,
  moment: number,
): Promise<void> {
  const url = await lives.begin();
  await checkAfterRestart(run, url);
  const over = new AbortController();
  const traffic = runTraffic(run, url, over.signal);
  // Half of the kills come in the very instant in which a client is told something, for that is what must hold.
  const isSharp = run.round % 2 === 0;
  const when = async () => {
    await pause(moment * settings.activityMs);
    if (isSharp) await Promise.race([run.journal.nextAcknowledgement(), pause(patienceMs)]);
  };
  try {
    if (target === 'database' && lives.databaseKills() < databaseKillsPerLife) {
      await lives.killDatabase(when);
      await pause(moment * settings.activityMs);
    } else {
      await lives.kill(target === 'database' ? 'server and database' : target, when);
    }
  } finally {
    over.abort();
    await traffic;
  }
}

/** A full look, then a graceful stop, and a look at the files. */
async function look(
  settings: RoundsSettings,
  run: CrashRun,
  lives: Lives,
  draws: Draws,
  since: number,
): Promise<void> {
  run.round += 1;
  const began = performance.now();
  const url = await lives.begin();
  const expected = await checkEverything(run, url, draws, since);
  await lives.stop();
  await checkIndexes(run, expected);
  await checkSpool(run);
  await checkDataDirectory(run);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  settings.progress?.(`full look in ${seconds} s: ${run.violations.length} violations so far`);
}
