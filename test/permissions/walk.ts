import { type Role, roles } from '../../src/access/index.ts';
import type { RunningServer } from '../harness/server.ts';
import type { Callers } from './callers.ts';
import {
  answerName,
  type Credential,
  expectedOf,
  holds,
  isPossible,
  type Operation,
  type Place,
  places,
} from './matrix.ts';

export interface Walked {
  readonly answers: Map<string, number>;
  /** What was answered otherwise than is expected. */
  readonly wrong: object[];
}

const atOnce = 8;
/** What ends the credential that it is asked with, so that each asking has one of its own. */
const ending = ['POST /api/v1/auth/sign-out', 'POST /api/v2/auth/sign-out'];
/** What replaces what others are at work with: asked by itself, when all else has been. */
const alone = ['POST /api/v1/audit-logs/keys/rotate', 'POST /api/v2/audit-logs/keys/rotate'];

/** Asks every operation as every role, in one's own tenant and another's, with one kind of credential. */
export async function walk(
  server: RunningServer,
  callers: Callers,
  operations: readonly Operation[],
  credential: Credential,
): Promise<Walked> {
  const answers = new Map<string, number>();
  const wrong: object[] = [];
  const look = async (operation: Operation, role: Role, place: Place, headers: Record<string, string>) => {
    const status = await ask(server.url, operation, {
      ...headers,
      ...(place === 'other' && { 'x-tenant-id': 'other' }),
    });
    answers.set(answerName(operation, credential, role, place), status);
    const expected = expectedOf(operation, role, place, credential);
    if (!holds(expected, status)) wrong.push({ credential, role, place, ...operation, expected, status });
  };
  const tasks: (() => Promise<void>)[] = [];
  const last: (() => Promise<void>)[] = [];
  for (const role of roles) {
    if (!isPossible(credential, role)) continue;
    const shared = await callers.headersOf(credential, role);
    for (const operation of operations) {
      if (operation.permission === null) continue;
      const name = `${operation.method} ${operation.path}`;
      const ends = ending.includes(name);
      for (const place of places) {
        (alone.includes(name) ? last : tasks).push(async () =>
          look(operation, role, place, ends ? await callers.headersOf(credential, role) : shared),
        );
      }
    }
  }
  const player = async () => {
    for (let task = tasks.pop(); task !== undefined; task = tasks.pop()) await task();
  };
  await Promise.all(Array.from({ length: atOnce }, player));
  for (const task of last) await task();
  return { answers, wrong };
}

/** With parameters that name nothing, and without a body. @returns the status. */
export async function ask(
  url: string,
  { method, path }: Operation,
  headers: Record<string, string>,
): Promise<number> {
  const asked = fetch(url + path.replace(/\{[^}]+\}/g, 'absent'), { method, headers, redirect: 'manual' });
  const reply = await asked.catch((cause) => {
    throw new Error(`${method} ${path} was not answered`, { cause });
  });
  await reply.arrayBuffer().catch((cause) => {
    throw new Error(`${method} ${path} was answered ${reply.status}, and not to the end`, { cause });
  });
  return reply.status;
}
