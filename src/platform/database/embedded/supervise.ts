import type { Clock } from '../../clock.ts';
import type { RunningServer } from './launch.ts';

export interface SupervisionDeps {
  readonly launch: (signal: AbortSignal) => Promise<RunningServer>;
  readonly clock: Clock;
  readonly log: {
    warn(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
  /** Called once when the server kept ending and is not started again. */
  readonly onLost: (lastWords: string) => void;
}

/** So many restarts within the window, then something is wrong that another one would not mend. */
export const restartLimit = 5;
export const restartWindowMs = 10 * 60_000;
const pauseBetweenRestartsMs = 500;
const logTrimEveryMs = 60_000;

/**
 * Keeps a server running: one that ends without having been asked to, for example by the kernel's out-of-memory
 * killer, is started again on the same socket, and connection pools find it there.
 * @returns a function that ends the supervision (not the server) and resolves when no launch is under way.
 */
export function superviseServer(first: RunningServer, deps: SupervisionDeps): () => Promise<void> {
  const stopping = new AbortController();
  const finished = keepRunning(first, deps, stopping.signal);
  return () => {
    stopping.abort();
    return finished;
  };
}

async function keepRunning(first: RunningServer, deps: SupervisionDeps, signal: AbortSignal): Promise<void> {
  const { clock, log } = deps;
  let restarts: number[] = [];
  let lastWords = await watch(first, clock, signal);
  while (!signal.aborted) {
    const now = clock.monotonicMs();
    restarts = restarts.filter((at) => now - at < restartWindowMs);
    if (restarts.length >= restartLimit) {
      log.error({ lastWords }, 'the embedded PostgreSQL keeps ending and is given up');
      return deps.onLost(lastWords);
    }
    restarts.push(now);
    log.error({ lastWords }, 'the embedded PostgreSQL ended by itself; starting it again');
    try {
      const server = await deps.launch(signal);
      log.warn({ pid: server.pid }, 'the embedded PostgreSQL runs again');
      lastWords = await watch(server, clock, signal);
    } catch (error) {
      lastWords = error instanceof Error ? error.message : String(error);
      await clock.sleep(pauseBetweenRestartsMs, signal).catch(() => {});
    }
  }
}

/** Resolves with the server's last words when it ends, or at once when the signal aborts. Trims its log meanwhile. */
async function watch(server: RunningServer, clock: Clock, signal: AbortSignal): Promise<string> {
  const trimming = new AbortController();
  const stopTrimming = () => trimming.abort();
  signal.addEventListener('abort', stopTrimming, { once: true });
  if (signal.aborted) stopTrimming();
  const trimmed = trimNowAndThen(server, clock, trimming.signal).then(() => '');
  const lastWords = await Promise.race([server.exited, trimmed]);
  trimming.abort();
  signal.removeEventListener('abort', stopTrimming);
  return lastWords;
}

/** Goes on until the signal aborts. */
async function trimNowAndThen(server: RunningServer, clock: Clock, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(logTrimEveryMs, signal).catch(() => {});
    if (!signal.aborted) server.trimLog();
  }
}
