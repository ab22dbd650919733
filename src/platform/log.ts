import { type DestinationStream, type Logger, pino } from 'pino';

export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'child' | 'level'>;

/**
 * JSON lines on standard error (standard output belongs to what a person or a script asked for). Fields that may
 * hold a secret are removed by name wherever they appear up to two levels deep: redaction by construction, so
 * that a careless `log.info({ headers })` still tells nothing.
 */
export function createLog(level: string, destination?: DestinationStream): Log {
  const secretNames = ['authorization', 'api_key', 'apiKey', 'password', 'secret', 'key', 'token', 'cookie'];
  const paths = secretNames.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);
  return pino(
    {
      level,
      base: { service: 'gatehouse' },
      timestamp: () => `,"timestamp":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: [...paths, 'headers["x-api-key"]', '*.headers["x-api-key"]'], censor: '[redacted]' },
    },
    destination ?? standardError(),
  );
}

/** Lines that wait for a slow reader; what comes beyond is dropped rather than kept in memory. */
const longestBacklogBytes = 4 * 1024 * 1024;

/**
 * A log that cannot be written, because its terminal was closed or its disk is full, must not end or hold up the
 * process: unheard, the error would end it, and at the exit the last lines would be tried again for ever.
 */
function standardError(): DestinationStream {
  const stream = pino.destination({ fd: 2, sync: false, minLength: 0, maxLength: longestBacklogBytes });
  stream.on('error', () => {
    stream.flushSync = () => {};
  });
  return stream;
}
