// Loaded before Gatehouse itself, in the process that the launcher starts. When the launcher is gone, however it ended,
// nobody is left to pass signals on: the process then asks itself to shut down, as if it had been told to.
import { isMainThread } from 'node:worker_threads';

if (isMainThread && process.channel) {
  process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  // The channel alone is no reason to stay alive.
  process.channel.unref();
}
