import { spawn } from 'node:child_process';

export interface ProgramResult {
  /** Null when the program could not be started or was ended by a signal. */
  readonly exitCode: number | null;
  /** Standard output and error together, the last 8,000 characters. */
  readonly output: string;
}

export interface ProgramOptions {
  readonly environment: Readonly<Record<string, string>>;
  /** Given to the program on standard input. */
  readonly input?: string;
  /** User and group to run as; absent: the own. */
  readonly user?: { readonly uid: number; readonly gid: number };
  readonly timeoutMs: number;
}

const outputLimit = 8_000;

/** Runs a program to its end, from the root directory so that it depends on nothing around. Never throws. */
export function runProgram(
  command: string,
  args: readonly string[],
  options: ProgramOptions,
): Promise<ProgramResult> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: '/',
      env: { ...options.environment },
      timeout: options.timeoutMs,
      killSignal: 'SIGKILL',
      stdio: 'pipe',
      ...options.user,
    });
    let output = '';
    const collect = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-outputLimit);
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    // A program that ends without reading its input is judged by its exit code, not by the broken pipe.
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
    child.on('error', (error) => resolve({ exitCode: null, output: `${output}${error.message}` }));
    child.on('close', (exitCode) => resolve({ exitCode, output }));
  });
}
