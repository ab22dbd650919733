import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../../test/harness/child.ts';
import {
  redisIsInstalled,
  redisMissing,
  startRedis,
  startSilentServer,
  type TestRedis,
} from '../../test/harness/redis.ts';
import { systemClock } from './clock.ts';
import { createLog } from './log.ts';
import { createRedis, RedisAway, type RedisLink, withoutPassword } from './redis.ts';

if (!redisIsInstalled) console.error(redisMissing);

let server: TestRedis;
const open: RedisLink[] = [];
const lines: string[] = [];
const log = createLog('debug', { write: (line: string) => void lines.push(line) });

async function connect(url: string, channel?: string) {
  const heard: string[] = [];
  const hearing: boolean[] = [];
  const link = createRedis({ url, clock: systemClock, log });
  if (channel)
    link.subscribe(
      channel,
      (message) => heard.push(message),
      (now) => hearing.push(now),
    );
  await link.start();
  open.push(link);
  return { link, heard, hearing };
}

describe.skipIf(!redisIsInstalled)('a link to Redis', () => {
  beforeAll(async () => {
    server = await startRedis();
  });
  afterEach(async () => {
    for (const link of open.splice(0)) await link.stop();
  });
  afterAll(() => server?.stop());

  it('runs commands and scripts, and gives bytes as they are', async () => {
    const { link } = await connect(server.url);
    const bytes = Buffer.from([0, 255, 10, 13, 128]);
    await link.command('SET', 'bytes', bytes);
    expect(await link.command('GET', 'bytes')).toEqual(bytes);
    const script = link.script(`return {KEYS[1], ARGV[1], redis.call('GET', KEYS[1]), 7}`);
    const reply = [Buffer.from('bytes'), Buffer.from('x'), bytes, 7];
    expect(await script(['bytes'], ['x'])).toEqual(reply);
    expect(await script(['bytes'], ['x'])).toEqual(reply);
  });

  it('passes messages on to everybody who listens', async () => {
    const one = await connect(server.url, 'news');
    const two = await connect(server.url, 'news');
    await until(async () => one.hearing[0] && two.hearing[0]);
    await one.link.command('PUBLISH', 'news', 'hello');
    await until(async () => one.heard.length && two.heard.length);
    expect([one.heard, two.heard]).toEqual([['hello'], ['hello']]);
  });

  it('lets nobody wait while Redis is gone, and comes back with it', async () => {
    const { link, hearing } = await connect(server.url, 'news');
    let connections = 0;
    link.onConnected(() => connections++);
    await until(async () => hearing.length === 1);
    await server.kill();
    await until(async () => hearing.length === 2);
    expect(hearing).toEqual([true, false]);
    await until(async () => !link.connected);
    await expect(link.command('GET', 'x')).rejects.toThrow(RedisAway);
    await server.startAgain();
    await until(async () => link.connected && hearing.length === 3);
    expect(hearing).toEqual([true, false, true]);
    expect(await link.command('PING')).toEqual(Buffer.from('PONG'));
    expect(connections).toBeGreaterThan(0);
  });

  it('finds out that Redis went silent, and that it speaks again', async () => {
    const { link, hearing } = await connect(server.url, 'news');
    await until(async () => hearing.length === 1);
    server.freeze();
    await expect(link.command('GET', 'x')).rejects.toThrow(RedisAway);
    await until(async () => hearing.at(-1) === false && !link.connected);
    server.thaw();
    await until(async () => hearing.at(-1) === true && link.connected);
  });

  it('starts beside a server that takes connections and never answers', async () => {
    const silent = await startSilentServer();
    const { link, hearing } = await connect(`redis://:secret-of-test@127.0.0.1:${silent.port}`, 'news');
    await expect(link.command('GET', 'x')).rejects.toThrow(RedisAway);
    expect(hearing).toEqual([]);
    await link.stop();
    await silent.stop();
  });

  it('says why it cannot use Redis, and never the password', async () => {
    lines.length = 0;
    const wrong = server.url.replace(server.password, 'wrong-password-of-test');
    const { link } = await connect(wrong);
    await until(async () => lines.length > 0);
    expect(link.connected).toBe(false);
    await expect(link.command('GET', 'x')).rejects.toThrow(RedisAway);
    expect(lines.join('')).toMatch(/WRONGPASS/);
    expect(lines.join('')).not.toContain('wrong-password-of-test');
    expect(withoutPassword('connect to rediss://user:secret@redis.internal:6379/0')).toBe(
      'connect to rediss://redis.internal:6379/0',
    );
  });
});
