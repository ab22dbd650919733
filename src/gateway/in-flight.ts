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
  /**
   * @param estimate nano-dollars that the call is expected to cost; null when its model has no price.
   * @throws AppError `overloaded` when a bound is reached.
   */
  reserve(call: ReservedCall, estimate: bigint | null): Reservation;
  /** Ends the calls that have gone on for longer than they may. */
  endOverdue(): void;
  /** Ends every call. */
  endAll(reason: CancelReason): void;
  /** What is held at the moment: nano-dollars of one tenant. */
  heldNanoUsd(tenantId: string): bigint;
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

interface Held {
  calls: number;
  nanoUsd: bigint;
}

const retryAfterSeconds = 1;

/**
 * Counts calls in flight and what they are expected to cost, per tenant and together. Limits and budgets will decide
 * in this same step, before anything is sent.
 */
export function createInFlight({ bounds, clock }: InFlightDependencies): InFlight {
  const tenants = new Map<string, Held>();
  const holds = new Set<Hold>();
  let bytes = 0;

  class Hold implements Reservation {
    readonly call: ReservedCall;
    readonly nanoUsd: bigint;
    readonly dueMs: number;
    constructor(call: ReservedCall, nanoUsd: bigint) {
      this.call = call;
      this.nanoUsd = nanoUsd;
      this.dueMs = clock.monotonicMs() + call.totalMs;
    }
    release(): void {
      if (!holds.delete(this)) return;
      bytes -= this.call.requestBytes;
      const tenant = tenants.get(this.call.tenantId);
      if (!tenant) return;
      tenant.calls--;
      tenant.nanoUsd -= this.nanoUsd;
      if (tenant.calls === 0) tenants.delete(this.call.tenantId);
    }
  }

  return {
    reserve(call, estimate) {
      const { tenantId, requestBytes } = call;
      const tenant = tenants.get(tenantId) ?? { calls: 0, nanoUsd: 0n };
      if (holds.size >= bounds.calls) throw overloaded(`${bounds.calls} model calls are going on here`);
      if (tenant.calls >= bounds.callsPerTenant) {
        throw overloaded(`${bounds.callsPerTenant} model calls of this tenant are going on`);
      }
      if (bytes + requestBytes > bounds.requestBytes) {
        throw overloaded('the requests in flight are too large together');
      }
      const hold = new Hold(call, estimate ?? 0n);
      holds.add(hold);
      bytes += requestBytes;
      tenant.calls++;
      tenant.nanoUsd += hold.nanoUsd;
      tenants.set(tenantId, tenant);
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
    heldNanoUsd: (tenantId) => tenants.get(tenantId)?.nanoUsd ?? 0n,
    calls: () => holds.size,
  };
}

function overloaded(why: string): AppError {
  return new AppError('overloaded', `No more calls are taken at the moment: ${why}. Try again shortly.`, {
    retryAfterSeconds,
  });
}
