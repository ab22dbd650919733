import { Server } from 'node:net';

/**
 * Preloaded (`node --import`) into programs that would listen on every address: for as long as a benchmark runs, what it
 * started can be reached from this machine only. How a socket was opened makes no difference to what is measured.
 */
const listen = Server.prototype.listen as (this: Server, ...args: unknown[]) => Server;

Server.prototype.listen = function listenOnLoopback(this: Server, ...args: unknown[]): Server {
  const [port, host] = args;
  const isOpenToAll = typeof port === 'number' && typeof host !== 'string';
  return isOpenToAll ? listen.call(this, port, '127.0.0.1', ...args.slice(1)) : listen.apply(this, args);
} as typeof Server.prototype.listen;
