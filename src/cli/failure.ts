import { AppError } from '../platform/errors.ts';
import { ServerRefusal, ServerUnreachable } from './client-errors.ts';
import { exitCodes } from './command.ts';
import { Interrupted } from './interruption.ts';
import type { Output } from './output.ts';

/** Says why a command failed. @returns the exit code. */
export function showFailure(error: unknown, output: Output): number {
  if (error instanceof Interrupted) {
    output.fail('Interrupted.', { code: 'interrupted' });
    return exitCodes.interrupted;
  }
  if (error instanceof AppError) {
    output.fail(error.message, {
      code: error.code,
      ...(error.errors.length > 0 ? { errors: error.errors } : {}),
    });
  } else if (error instanceof ServerRefusal) {
    const { status, code, correlationId } = error;
    output.fail(error.message, { code, status, correlation_id: correlationId });
  } else if (error instanceof ServerUnreachable) {
    output.fail(error.message, { code: 'server_unreachable' });
  } else {
    // Nobody foresaw this one, so whoever reports it needs to say where it came from.
    const shown = error instanceof Error ? (error.stack ?? error.message) : String(error);
    output.fail(`This should not have happened; please report it.\n${shown}`, { code: 'internal' });
  }
  return exitCodes.failed;
}
