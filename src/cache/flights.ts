import type { Entry } from './entry.ts';

/** How making an answer came out, for those who waited for it. */
export type Landing =
  /** `shared`: other instances can read it, so whether it still holds is known there. */
  | { readonly how: 'kept'; readonly entry: Entry; readonly shared: boolean }
  /** Somebody else may try. */
  | { readonly how: 'failed' }
  /** There is an answer that cannot be shared, and there would be again: each for themselves. */
  | { readonly how: 'not_shareable' };

/** One answer being made in this process, for those who wait for it. */
export class Flight {
  readonly landed: Promise<Landing>;
  readonly startedMs: number;
  #land: (landing: Landing) => void = () => {};

  constructor(startedMs: number) {
    this.startedMs = startedMs;
    this.landed = new Promise((resolve) => {
      this.#land = resolve;
    });
  }

  land(landing: Landing): void {
    this.#land(landing);
  }
}

export interface Flights {
  /** The one that is going on. */
  of(id: string, nowMs: number): Flight | undefined;
  begin(id: string, nowMs: number): Flight;
  end(id: string, flight: Flight, landing: Landing): void;
  readonly size: number;
}

/** @param maxFlightMs after which nobody waits for an answer any more, so that a lost turn cannot block its key. */
export function createFlights(maxFlightMs: number): Flights {
  const flights = new Map<string, Flight>();
  return {
    of(id, nowMs) {
      const flight = flights.get(id);
      return flight && nowMs - flight.startedMs < maxFlightMs ? flight : undefined;
    },
    begin(id, nowMs) {
      const flight = new Flight(nowMs);
      flights.set(id, flight);
      return flight;
    },
    end(id, flight, landing) {
      if (flights.get(id) === flight) flights.delete(id);
      flight.land(landing);
    },
    get size() {
      return flights.size;
    },
  };
}
