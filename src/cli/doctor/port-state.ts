import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { Agent, fetch } from 'undici';

export type PortState =
  | { readonly state: 'free' }
  /** Port 0: the system chooses one. */
  | { readonly state: 'any' }
  /** A Gatehouse answers there. */
  | { readonly state: 'gatehouse' }
  | { readonly state: 'other_program'; readonly pid: number | null; readonly name: string | null }
  /** Listening is not possible for another reason. */
  | { readonly state: 'refused'; readonly code: string };

const answerWithinMs = 2_000;

/**
 * Finds out whether a server could listen there, by listening for a moment, and if not, who does.
 * @param hasTls whether a Gatehouse there would speak TLS.
 */
export async function inspectPort(host: string, port: number, hasTls = false): Promise<PortState> {
  if (port === 0) return { state: 'any' };
  const code = await listenBriefly(host, port);
  if (code === null) return { state: 'free' };
  if (code !== 'EADDRINUSE') return { state: 'refused', code };
  if (await isGatehouse(host, port, hasTls)) return { state: 'gatehouse' };
  const pid = process.platform === 'linux' ? listenerOn(port) : null;
  return { state: 'other_program', pid, name: pid === null ? null : nameOf(pid) };
}

/** @returns the error code, or null when it worked. */
function listenBriefly(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
}

async function isGatehouse(host: string, port: number, hasTls: boolean): Promise<boolean> {
  const address =
    host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '[::1]' : host.includes(':') ? `[${host}]` : host;
  // Nothing is told to it: whose certificate it has is another check's question.
  const agent = new Agent({ connect: { rejectUnauthorized: false } });
  try {
    const response = await fetch(`${hasTls ? 'https' : 'http'}://${address}:${port}/health/live`, {
      redirect: 'manual',
      signal: AbortSignal.timeout(answerWithinMs),
      dispatcher: agent,
    });
    // Every answer of Gatehouse carries a correlation id; a health page alone could be anyone's.
    const isOurs = response.ok && response.headers.has('x-correlation-id');
    await response.body?.cancel();
    return isOurs;
  } catch {
    return false;
  } finally {
    await agent.destroy();
  }
}

const listening = '0A';

/**
 * The process that listens on a TCP port, from `/proc/net/tcp` (proc_net_tcp(5)) and the open files of processes.
 * @returns null when it is another user's, whose files this one may not see.
 */
function listenerOn(port: number): number | null {
  const inodes = new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) => socketsIn(table, port)));
  if (inodes.size === 0) return null;
  for (const entry of namesIn('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const holds = namesIn(`/proc/${entry}/fd`).some((fd) => inodes.has(linkAt(`/proc/${entry}/fd/${fd}`)));
    if (holds) return Number(entry);
  }
  return null;
}

function socketsIn(table: string, port: number): string[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  return textAt(table)
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = '', , state]) => state === listening && local.endsWith(`:${wanted}`))
    .map((fields) => `socket:[${fields[9]}]`);
}

function nameOf(pid: number): string | null {
  return textAt(`/proc/${pid}/comm`).trim() || null;
}

function textAt(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function linkAt(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
