import type { Clock } from '../../platform/clock.ts';
import { AppError } from '../../platform/errors.ts';
import type { KeptReply } from './kept-reply.ts';

/** A request that is being answered, which others with its key wait for. */
export interface Flight {
  readonly requestHash: Buffer;
  /** The reply; null: there is none to keep, and the next may try. */
  readonly landed: Promise<KeptReply | null>;
  land(reply: KeptReply | null): void;
}

/** How long a request waits for another one with its key. */
const waitMs = 10_000;
/** Requests that wait at once, over all keys. */
const maxWaiting = 5_000;

/** Requests of this process by key, so that duplicates wait here and not on connections of the database. */
export function createFlights(clock: Pick<Clock, 'sleep' | 'monotonicMs'>) {
  const flights = new Map<string, Flight>();
  let waiting = 0;

  const arrival = async (flight: Flight, ms: number): Promise<KeptReply | null> => {
    if (ms <= 0 || waiting >= maxWaiting) throw stillAtWork();
    const stopped = new AbortController();
    waiting++;
    try {
      const late = clock.sleep(ms, stopped.signal).then(() => {
        throw stillAtWork();
      });
      return await Promise.race([flight.landed, late]);
    } finally {
      waiting--;
      stopped.abort();
    }
  };

  return {
    /**
     * @returns a flight of one's own, which has to be landed; or what another one's request was answered.
     * @throws AppError `conflict` when that takes longer than a while, `invalid` when it was another request.
     */
    async enter(name: string, requestHash: Buffer): Promise<Flight | KeptReply> {
      const untilMs = clock.monotonicMs() + waitMs;
      for (;;) {
        const other = flights.get(name);
        if (other === undefined) {
          const flight = createFlight(requestHash, () => flights.delete(name));
          flights.set(name, flight);
          return flight;
        }
        if (!other.requestHash.equals(requestHash)) throw otherRequest();
        const reply = await arrival(other, untilMs - clock.monotonicMs());
        if (reply !== null) return reply;
      }
    },
  };
}

function createFlight(requestHash: Buffer, over: () => void): Flight {
  let resolve: (reply: KeptReply | null) => void = () => {};
  const landed = new Promise<KeptReply | null>((done) => {
    resolve = done;
  });
  return {
    requestHash,
    landed,
    land(reply) {
      over();
      resolve(reply);
    },
  };
}

export function stillAtWork(): AppError {
  return new AppError(
    'conflict',
    'A request with this Idempotency-Key is being answered. Send it again in a moment for its answer.',
    { retryAfterSeconds: 1 },
  );
}

export function otherRequest(): AppError {
  return new AppError(
    'invalid',
    'This Idempotency-Key came with another request before: another method, address or body. Use a new key for a new request.',
    { errors: [{ path: 'Idempotency-Key', message: 'was used for another request' }] },
  );
}
