import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect as connectPlain, isIP, type Socket } from 'node:net';
import { connect as connectSecure } from 'node:tls';
import { hashLeaf } from '../merkle-tree.ts';
import type { BatchLine, Deliver, SyslogDestination } from './destination.ts';
import { datagramOf, syslogMessage, withLength } from './syslog-message.ts';

/** How long a receiver may take to close after it has everything; one that keeps open is taken at its silence. */
const closeMs = 2_000;

/**
 * Syslog acknowledges nothing. Over TCP and TLS each batch has a connection of its own that we end: when the receiver closes
 * its side, too, without an error, it has read all of it. Over UDP what was sent is taken to have arrived.
 * @param host this machine's name, as messages carry it.
 */
export function deliverSyslog(destination: SyslogDestination, host: string): Deliver {
  return destination.transport === 'udp'
    ? (batch, signal) => sendDatagrams(destination, batch.lines, host, signal)
    : (batch, signal) => sendStream(destination, batch.lines, host, signal);
}

async function sendStream(
  { host: hostname, port, transport, ca }: SyslogDestination,
  lines: readonly BatchLine[],
  host: string,
  signal: AbortSignal,
): Promise<void> {
  const socket: Socket =
    transport === 'tls'
      ? connectSecure({
          host: hostname,
          port,
          ...(isIP(hostname) === 0 ? { servername: hostname } : {}),
          ...(ca === null ? {} : { ca }),
        })
      : connectPlain({ host: hostname, port });
  const cut = () => socket.destroy(new Error('no answer in time'));
  signal.addEventListener('abort', cut, { once: true });
  const failed = new Promise<never>((_resolve, reject) => socket.once('error', reject));
  failed.catch(() => {});
  try {
    await Promise.race([once(socket, transport === 'tls' ? 'secureConnect' : 'connect'), failed]);
    for (const line of lines) {
      if (!socket.write(withLength(syslogMessage(line, host)))) {
        await Promise.race([once(socket, 'drain'), failed]);
      }
    }
    // Whatever it says is read and dropped, or its end would never be seen.
    socket.resume();
    const closed = once(socket, 'close');
    closed.catch(() => {});
    const silent = AbortSignal.timeout(closeMs);
    await Promise.race([new Promise<void>((resolve) => socket.end(resolve)), failed]);
    await Promise.race([closed, failed, once(silent, 'abort')]);
  } finally {
    signal.removeEventListener('abort', cut);
    socket.destroy();
  }
}

async function sendDatagrams(
  { host: hostname, port }: SyslogDestination,
  lines: readonly BatchLine[],
  host: string,
  signal: AbortSignal,
): Promise<void> {
  const socket = createSocket(isIP(hostname) === 6 ? 'udp6' : 'udp4');
  try {
    for (const line of lines) {
      signal.throwIfAborted();
      const hash = () => hashLeaf(Buffer.from(line.text)).toString('hex');
      const message = datagramOf(line, host, hash);
      await new Promise<void>((resolve, reject) =>
        socket.send(message, port, hostname, (error) => (error ? reject(error) : resolve())),
      );
    }
  } finally {
    socket.close();
  }
}
