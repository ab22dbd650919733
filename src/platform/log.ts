import { type DestinationStream, type Logger, pino } from 'pino';
import { createLogStream } from './log-stream.ts';

export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'child' | 'level'>;

/**
 * JSON lines on standard error (standard output belongs to what a person or a script asked for). Fields that may
 * hold a secret are removed by name wherever they appear up to two levels deep: redaction by construction, so
 * that a careless `log.info({ headers })` still tells nothing.
 */
export function createLog(level: string, destination?: DestinationStream): Log {
  const secretNames = [
    ...['authorization', 'cookie', 'key', 'api_key', 'apiKey', 'masterKey', 'adminKey', 'password', 'otp'],
    ...[
      'secret',
      'client_secret',
      'clientSecret',
      'secretAccessKey',
      'token',
      'access_token',
      'refresh_token',
    ],
  ];
  const paths = secretNames.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);
  return pino(
    {
      level,
      base: { service: 'gatehouse' },
      timestamp: createTimestamp(),
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: [...paths, 'headers["x-api-key"]', '*.headers["x-api-key"]'], censor: '[redacted]' },
    },
    destination ?? createLogStream(2),
  );
}

/** A busy server writes many lines in one millisecond, and their time is the same text. */
function createTimestamp(): () => string {
  let ofMs = 0;
  let text = '';
  return () => {
    const now = Date.now();
    if (now !== ofMs) {
      ofMs = now;
      text = `,"timestamp":"${new Date(now).toISOString()}"`;
    }
    return text;
  };
}

/**
 * The same log without the search for secrets, for a line whose fields are fixed and known to hold none: with it, the one
 * line of each request cost 16 µs, without it 1.5 µs.
 */
export function withoutRedaction(log: Log): Log {
  return log.child({}, { redact: [] });
}
