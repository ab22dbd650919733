import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a call was reserved for, as its instance noted it before it was sent. */
export interface Reserved {
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** Well below the time that a call takes here: a note is there at least until its call has ended. */
const lookEveryMs = 40;

/**
 * Reads along what instances note of calls under way in their data directories, which is the only place that tells from
 * outside what was reserved for each call.
 */
export function readReservations(dataDirectories: () => readonly string[]) {
  const byCorrelation = new Map<string, Reserved>();
  const look = () => {
    for (const directory of dataDirectories()) {
      const folder = join(directory, 'under-way');
      for (const name of readdirSync(folder)) {
        for (const line of read(join(folder, name)).split('\n')) {
          // Eight digits of a check sum come first; the last line may be on its way.
          if (!line.endsWith('}')) continue;
          const { correlationId, inputTokens, outputTokens } = JSON.parse(line.slice(9));
          byCorrelation.set(correlationId, { inputTokens, outputTokens });
        }
      }
    }
  };
  const timer = setInterval(look, lookEveryMs);
  return {
    /** By correlation id. */
    found: byCorrelation as ReadonlyMap<string, Reserved>,
    stop() {
      clearInterval(timer);
      look();
    },
  };
}

/** A file may be removed between being listed and being read: its calls have ended, and were seen before. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
