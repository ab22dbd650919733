import { describe, expect, it } from 'vitest';
import { isLoss } from './expect-losses.ts';

const error = (message: string, facts: object = {}) => Object.assign(new Error(message), facts);

describe('a database that is not there just now', () => {
  it.each([
    error('connect ECONNREFUSED', { code: 'ECONNREFUSED', syscall: 'connect' }),
    error('connect ENOENT /data/run/.s.PGSQL.5432', { code: 'ENOENT', syscall: 'connect' }),
    error('write EPIPE', { code: 'EPIPE', syscall: 'write' }),
    error('read ECONNRESET', { code: 'ECONNRESET', syscall: 'read' }),
    error('terminating connection due to administrator command', { code: '57P01' }),
    error('the database system is starting up', { code: '57P03' }),
    error('connection failure', { code: '08006' }),
    error('Connection terminated unexpectedly'),
    error('Client has encountered a connection error and is not queryable'),
    error('timeout exceeded when trying to connect'),
  ])('shows as $message', (loss) => expect(isLoss(loss)).toBe(true));

  it.each([
    error('canceling statement due to statement timeout', { code: '57014' }),
    error('duplicate key value violates unique constraint', { code: '23505' }),
    error('no such file or directory, open x', { code: 'ENOENT', syscall: 'open' }),
    error('something else'),
    'a text',
    null,
  ])('does not show as %s', (other) => expect(isLoss(other)).toBe(false));
});
