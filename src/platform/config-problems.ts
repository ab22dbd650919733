import type { z } from 'zod';
import { examples } from './config-variables.ts';
import { AppError } from './errors.ts';

/** What is wrong with one setting. */
export interface ConfigProblem {
  readonly path: string;
  readonly message: string;
}

export function problemsIn(error: z.ZodError): ConfigProblem[] {
  return error.issues.map((issue) => {
    const name = String(issue.path[0]);
    return { path: name, message: `${issue.message}, for example ${name}=${examples[name] ?? '…'}` };
  });
}

export function problemsInLimits(error: z.ZodError): ConfigProblem[] {
  return error.issues.map((issue) => ({
    path: ['limits', ...issue.path].join('.'),
    message: `${issue.message}; see docs/limits.md`,
  }));
}

/** `config_invalid`, with every problem on a line. */
export function invalidConfig(errors: readonly ConfigProblem[], cause?: unknown): AppError {
  const lines = errors.map((e) => `  ${e.path} ${e.message}`).join('\n');
  return new AppError('config_invalid', `The configuration is not usable:\n${lines}`, { errors, cause });
}
