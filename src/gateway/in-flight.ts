import type { Clock } from '../platform/clock.ts';
import { AppError } from '../platform/errors.ts';

import type { Cancellation, CancelReason } from './cancellation.ts';

/** How much may go on at once, here and for one tenant. */
export interface InFlightBounds {
  readonly callsPerTenant: number;
  readonly calls: number;
  /** Bytes of request bodies, which are kept until their calls end because a further target may need them. */
  readonly requestBytes: number;
}

export const defaultInFlightBounds: InFlightBounds = {
  callsPerTenant: 1_024,
  calls: 4_096,
  requestBytes: 512 * 1024 * 1024,
};

/** What a call holds while it goes on. Released once, however it ends. */
export interface Reservation {
  release(): void;
}

export interface InFlight {
  /** @throws AppError `overloaded` when a bound is reached. */
  reserve(call: ReservedCall): Reservation;
  /** Ends the calls that have gone on for longer than they may. */
  endOverdue(): void;
  /** Ends every call. */
  endAll(reason: CancelReason): void;
  calls(): number;
}

export interface ReservedCall {
  readonly tenantId: string;
  readonly requestBytes: number;
  /** How long it may go on, in milliseconds, from here to its last byte. */
  readonly totalMs: number;
  readonly cancellation: Cancellation;
}

export interface InFlightDependencies {
  readonly bounds: InFlightBounds;
  readonly clock: Pick<Clock, 'monotonicMs'>;
}

const retryAfterSeconds = 1;

/** Counts calls in flight per tenant and together, and what they keep in memory, for the sake of this process. */
export function createInFlight({ bounds, clock }: InFlightDependencies): InFlight {
  const tenants = new Map<string, number>();
  const holds = new Set<Hold>();
  let bytes = 0;

  class Hold implements Reservation {
    readonly call: ReservedCall;
    readonly dueMs: number;
    constructor(call: ReservedCall) {
      this.call = call;
      this.dueMs = clock.monotonicMs() + call.totalMs;
    }
    release(): void {
      if (!holds.delete(this)) return;
      bytes -= this.call.requestBytes;
      const left = (tenants.get(this.call.tenantId) ?? 1) - 1;
      if (left === 0) tenants.delete(this.call.tenantId);
      else tenants.set(this.call.tenantId, left);
    }
  }

  return {
    reserve(call) {
      const { tenantId, requestBytes } = call;
      const ofTenant = tenants.get(tenantId) ?? 0;
      if (holds.size >= bounds.calls) throw overloaded(`${bounds.calls} model calls are going on here`);
      if (ofTenant >= bounds.callsPerTenant) {
        throw overloaded(`${bounds.callsPerTenant} model calls of this tenant are going on`);
      }
      if (bytes + requestBytes > bounds.requestBytes) {
        throw overloaded('the requests in flight are too large together');
      }
      const hold = new Hold(call);
      holds.add(hold);
      bytes += requestBytes;
      tenants.set(tenantId, ofTenant + 1);
      return hold;
    },
    endOverdue() {
      const now = clock.monotonicMs();
      for (const hold of holds) {
        if (hold.dueMs <= now) hold.call.cancellation.cancel('timeout');
      }
    },
    endAll(reason) {
      for (const hold of holds) hold.call.cancellation.cancel(reason);
    },
    calls: () => holds.size,
  };
}

function overloaded(why: string): AppError {
  return new AppError('overloaded', `No more calls are taken at the moment: ${why}. Try again shortly.`, {
    retryAfterSeconds,
  });
}
