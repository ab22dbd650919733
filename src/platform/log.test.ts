import { describe, expect, it } from 'vitest';
import { createLog } from './log.ts';

const written = (work: (log: ReturnType<typeof createLog>) => void): string[] => {
  const lines: string[] = [];
  work(createLog('trace', { write: (line) => void lines.push(line) }));
  expect(lines.every((line) => line.endsWith('\n'))).toBe(true);
  return lines.join('').split('\n').slice(0, -1);
};

describe('a line of the log', () => {
  it('is one line of JSON with its time in UTC, whatever is put into it', () => {
    const hostile = 'x\r\n{"level":"fatal","msg":"forged"}\u001b[31m\u0000\u0085\u2028';
    const lines = written((log) => {
      log.warn({ hostile, [hostile]: hostile, err: new Error(hostile) }, hostile);
      log.child({ hostile }).error(hostile);
    });
    expect(lines).toHaveLength(2);
    for (const line of lines) {
      const said = JSON.parse(line);
      expect(said).toMatchObject({ hostile, msg: hostile, service: 'gatehouse' });
      expect(said.timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      expect([...line].every((letter) => letter >= ' ')).toBe(true);
    }
    expect(lines.map((line) => JSON.parse(line).level)).toEqual(['warn', 'error']);
  });

  it('holds no field that is called like a secret, up to two levels deep', () => {
    const names = [
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
    for (const name of names) {
      const value = 'never-to-be-read';
      const [line = ''] = written((log) =>
        log.info({ [name]: value, body: { [name]: value, inner: { [name]: value } }, kept: 'kept' }, 'said'),
      );
      expect([name, line]).toEqual([name, expect.not.stringContaining(value)]);
      expect(line).toContain('"kept":"kept"');
    }
    const [header = ''] = written((log) =>
      log.info({
        headers: { 'x-api-key': 'never-to-be-read' },
        request: { headers: { 'x-api-key': 'never-to-be-read' } },
      }),
    );
    expect(header).not.toContain('never-to-be-read');
  });
});
