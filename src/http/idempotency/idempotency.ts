import type { Principal } from '../../access/index.ts';
import type { FastifyReply, FastifyRequest } from '../../platform/api.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Database } from '../../platform/database/database.ts';
import type { JoinedTransaction } from '../../platform/database/joined-transaction.ts';
import { AppError } from '../../platform/errors.ts';
import type { NewId } from '../../platform/ids.ts';
import type { Log } from '../../platform/log.ts';
import { createFlights, type Flight, otherRequest, stillAtWork } from './flights.ts';
import { type IdempotencyStore, type KeyPlace, keptForMs } from './idempotency.store.ts';
import {
  asksForStream,
  isKept,
  type KeptReply,
  keptReplyOf,
  readKept,
  replay,
  requestHashOf,
  writeKept,
} from './kept-reply.ts';

export interface IdempotencyDependencies {
  readonly store: IdempotencyStore;
  readonly database: Pick<Database, 'begin' | 'apart'>;
  /** Replies may hold what is shown once. */
  readonly seal: (text: string, tenantId: string) => string | Promise<string>;
  readonly open: (sealed: string, tenantId: string) => string | Promise<string>;
  /**
   * Changes with whatever decides what a caller is told of documents; null: of its own accord, too. Read before the
   * documents are.
   */
  readonly mayRead: (principal: Principal) => Promise<string | null>;
  readonly newId: NewId;
  readonly instanceId: string;
  /** Ids of the processes that live. */
  readonly living: () => readonly string[];
  readonly clock: Clock;
  readonly log: Log;
}

export interface Idempotency {
  /** Before the handler: runs it, waits for one that runs, or answers again. `count`: a request that calls no handler. */
  before(
    request: FastifyRequest,
    reply: FastifyReply,
    count: () => void | Promise<void>,
    done: (error?: Error) => void,
  ): void;
  /** Before the reply leaves: keeps it, and commits what the request changed. */
  after(
    request: FastifyRequest,
    reply: FastifyReply,
    payload: unknown,
    done: (error: Error | null, payload: unknown) => void,
  ): void;
  start(): void;
  stop(): Promise<void>;
}

/** A request that has the key: what is left to do when its reply is known. */
export interface HeldKey {
  readonly place: KeyPlace;
  readonly flight: Flight;
  /** Null: the handler commits by itself. */
  readonly transaction: JoinedTransaction | null;
}

declare module 'fastify' {
  interface FastifyRequest {
    heldKey: HeldKey | null;
  }
}

const sweepEveryMs = 10 * 60_000;
const sweepBatch = 1_000;
const safeMethods: readonly string[] = ['GET', 'HEAD', 'OPTIONS'];
const wellFormed = /^[\x20-\x7e]{1,255}$/;

/**
 * Idempotency keys (HTTP-6). Where a route changes nothing but tables, its handler runs within one transaction, to which
 * the reply is added: whatever ends the process, both are there or neither. Other routes (`repeatable`) take the key first,
 * do their work, and keep the reply; ended in between, the next one with the key does the work again.
 */
export function createIdempotency(deps: IdempotencyDependencies): Idempotency {
  const { store, clock, log } = deps;
  const flights = createFlights(clock);
  const stopping = new AbortController();
  let sweeping: Promise<void> = Promise.resolve();

  /** @returns the reply that is kept; null when the key is taken now. */
  const claim = async (
    place: KeyPlace,
    requestHash: Buffer,
    heldBy: string | null,
    standing: string | null,
  ): Promise<KeptReply | null> => {
    const now = clock.now();
    const row = await store
      .claim(place, {
        requestHash,
        heldBy,
        living: deps.living().filter((id) => id !== deps.instanceId),
        now,
        expiresAt: new Date(now.getTime() + keptForMs),
        standing,
      })
      .catch((error) => {
        throw (error as { code?: unknown }).code === '55P03' ? stillAtWork() : error;
      });
    if (row === null) return null;
    if (!row.requestHash.equals(requestHash)) throw otherRequest();
    if (row.sealedReply === null) throw stillAtWork();
    return readKept(await deps.open(row.sealedReply, place.tenantId), place);
  };

  const takeInTransaction = async (place: KeyPlace, flight: Flight): Promise<KeptReply | HeldKey> => {
    const transaction = await deps.database.begin();
    try {
      const kept = await transaction.run(() => claim(place, flight.requestHash, null, null));
      if (kept === null) return { place, flight, transaction };
      await transaction.rollback();
      return kept;
    } catch (error) {
      await transaction.rollback();
      throw error;
    }
  };

  /** What only holds at this moment is told apart from all else. */
  const standingOf = async ({ principal, routeOptions }: FastifyRequest): Promise<string | null> => {
    if (routeOptions.config.idempotency?.tellsOf === undefined) return null;
    return (await deps.mayRead(principal)) ?? deps.newId();
  };

  const take = async (request: FastifyRequest): Promise<KeptReply | HeldKey> => {
    const place = placeOf(request);
    const requestHash = requestHashOf(request);
    const flight = await flights.enter(`${place.tenantId} ${place.caller} ${place.key}`, requestHash);
    if (!('land' in flight)) return flight;
    try {
      const taken = isRepeatable(request)
        ? ((await claim(place, requestHash, deps.instanceId, await standingOf(request))) ?? {
            place,
            flight,
            transaction: null,
          })
        : await takeInTransaction(place, flight);
      if (!('flight' in taken)) flight.land(taken);
      return taken;
    } catch (error) {
      flight.land(null);
      throw error;
    }
  };

  const settle = async ({ place, transaction }: HeldKey, reply: KeptReply | null): Promise<void> => {
    // Keys that are made for sealing are not undone with the request.
    const seal = (text: string) => deps.database.apart(() => deps.seal(text, place.tenantId));
    try {
      const sealed = reply && (await seal(writeKept(reply, place)));
      const heldBy = transaction === null ? deps.instanceId : null;
      const note = () => (sealed === null ? store.forget(place) : store.keep(place, heldBy, sealed));
      if (transaction === null) return await deps.database.apart(note);
      await transaction.run(note);
      await transaction.commit();
    } catch (error) {
      await transaction?.rollback();
      throw error;
    }
  };

  /** The reply is known. @returns when it may leave. */
  const finish = async (held: HeldKey, status: number, reply: KeptReply | null): Promise<void> => {
    let landed: KeptReply | null = null;
    try {
      if (status >= 500 && held.transaction !== null) {
        await held.transaction.rollback();
        return;
      }
      await settle(held, reply);
      landed = reply;
    } catch (error) {
      // Of a transaction nothing has happened, and the caller must know. Else it has, and the answer is still true.
      if (held.transaction !== null) throw notCommitted(error);
      log.warn({ err: error }, 'a reply was not kept for its idempotency key');
    } finally {
      held.flight.land(landed);
    }
  };

  return {
    before(request, reply, count, done) {
      if (request.headers['idempotency-key'] === undefined || safeMethods.includes(request.method))
        return done();
      // Who is not known has no keys.
      if ((request.principal as Principal | null) === null) return done();
      const begin = async () => {
        refuseUnfit(request);
        const taken = await take(request);
        if (!('flight' in taken)) {
          await count();
          return replay(reply, taken);
        }
        request.heldKey = taken;
        // A reply that went straight to the socket passes no hook.
        reply.raw.once('close', () => {
          const held = request.heldKey;
          if (held === null || !reply.sent) return;
          request.heldKey = null;
          finish(held, reply.raw.statusCode, null).catch((error) =>
            log.warn({ err: error }, 'not committed'),
          );
        });
        if (taken.transaction === null) done();
        else taken.transaction.run(done);
      };
      begin().catch(done);
    },

    after(request, reply, payload, done) {
      const held = request.heldKey;
      if (held === null) return done(null, payload);
      request.heldKey = null;
      const status = reply.statusCode;
      const kept = isKept(status) ? keptReplyOf(reply, payload) : null;
      finish(held, status, kept).then(
        () => done(null, payload),
        (error) => done(error, payload),
      );
    },

    start() {
      const sweep = async () => {
        while (!stopping.signal.aborted) {
          while ((await store.sweep(clock.now(), sweepBatch)) === sweepBatch)
            stopping.signal.throwIfAborted();
          await clock.sleep(sweepEveryMs, stopping.signal);
        }
      };
      const keepSweeping = async () => {
        while (!stopping.signal.aborted) {
          await sweep().catch((error) => {
            if (!stopping.signal.aborted)
              log.warn({ err: error }, 'expired idempotency keys were not removed');
          });
          await clock.sleep(sweepEveryMs, stopping.signal).catch(() => {});
        }
      };
      sweeping = keepSweeping();
    },
    async stop() {
      stopping.abort();
      await sweeping;
    },
  };
}

function placeOf(request: FastifyRequest): KeyPlace {
  const { tenantId, keyId, userId } = request.principal;
  const key = request.headers['idempotency-key'] as string;
  return { tenantId, caller: userId === null ? keyId : `${keyId} ${userId}`, key };
}

/** Model calls and questions reach a provider, which no transaction undoes; other routes say so themselves. */
function isRepeatable(request: FastifyRequest): boolean {
  const { idempotency, limits } = request.routeOptions.config;
  if (idempotency !== undefined) return true;
  return limits !== undefined && 'as' in limits && limits.as !== 'request';
}

function refuseUnfit(request: FastifyRequest): void {
  const key = request.headers['idempotency-key'];
  const refuse = (detail: string, message: string) => {
    throw new AppError('invalid', detail, { errors: [{ path: 'Idempotency-Key', message }] });
  };
  if (typeof key !== 'string' || !wellFormed.test(key)) {
    refuse(
      'An Idempotency-Key is 1 to 255 printable ASCII characters, sent once.',
      'must be 1 to 255 printable ASCII characters',
    );
  }
  if ((request.headers['content-type'] ?? '').toLowerCase().startsWith('multipart/')) {
    refuse(
      'An Idempotency-Key does not go with a file: its bytes are not kept to be compared. Sent again, a file is recognised by its content; leave the header out, or send the text as JSON.',
      'does not go with multipart/form-data',
    );
  }
  if (asksForStream(request)) {
    refuse(
      'An Idempotency-Key does not go with a stream, which is not kept to be sent again. Ask for a whole answer, or leave the header out.',
      'does not go with a stream',
    );
  }
}

function notCommitted(cause: unknown): AppError {
  return new AppError(
    'dependency_down',
    'The database did not confirm the change. Send the request again with the same Idempotency-Key: it is done once.',
    { cause, retryAfterSeconds: 1 },
  );
}
