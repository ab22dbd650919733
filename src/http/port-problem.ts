import { AppError } from '../platform/errors.ts';

/** @returns why the port cannot be listened on, in words that say what to do. */
export function portProblem(cause: unknown, host: string, port: number): unknown {
  switch ((cause as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return new AppError(
        'config_invalid',
        `Port ${port} on ${host} is taken by another program. Stop it, or choose another port: PORT=8081 npm start`,
        { cause },
      );
    case 'EACCES':
      return new AppError(
        'config_invalid',
        `This user may not listen on port ${port}. Choose a port above 1023: PORT=8080 npm start`,
        { cause },
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new AppError(
        'config_invalid',
        `HOST=${host} is not an address of this machine. Try HOST=127.0.0.1`,
        {
          cause,
        },
      );
    default:
      return cause;
  }
}
