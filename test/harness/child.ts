import { type ChildProcess, spawn } from 'node:child_process';

export interface Child {
  readonly process: ChildProcess;
  /** Resolves when the text was printed. @throws with all output when the process ends before. */
  said(text: string): Promise<void>;
  /** All lines so far that begin with the word, without it. */
  linesOf(word: string): string[];
  kill9(): Promise<void>;
}

/** Starts a TypeScript file of ours as a process of its own. */
export function startChild(file: string, args: readonly string[]): Child {
  const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const news = new Set<() => void>();
  const heard = (part: unknown) => {
    output += part;
    for (const look of news) look();
  };
  child.stdout.on('data', heard);
  child.stderr.on('data', heard);
  const exited = new Promise<void>((resolve) =>
    child.once('exit', () => {
      resolve();
      for (const look of news) look();
    }),
  );
  return {
    process: child,
    said: (text) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = output.includes(text);
          if (!found && child.exitCode === null && child.signalCode === null) return;
          news.delete(look);
          if (found) resolve();
          else reject(new Error(`the process ended without saying "${text}":\n${output.slice(-4_000)}`));
        };
        news.add(look);
        look();
      }),
    linesOf: (word) =>
      output
        .split('\n')
        .slice(0, -1)
        .filter((line) => line.startsWith(`${word} `))
        .map((line) => line.slice(word.length + 1)),
    async kill9() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** Waits for a condition, as long as it takes: the test's own time limit is the bound. */
export async function until<T>(look: () => Promise<T | null | undefined | false>): Promise<T> {
  for (;;) {
    const found = await look();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
