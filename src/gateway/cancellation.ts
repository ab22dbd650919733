/** Why a call was ended before its provider was done. */
export type CancelReason = 'client' | 'timeout' | 'stopping';

/**
 * Ends one call from outside: its client left, its time is up, or the server stops. An AbortController would do the
 * same at several times the cost, and every call needs one.
 */
export class Cancellation {
  reason: CancelReason | null = null;
  #listener: (() => void) | null = null;

  cancel(reason: CancelReason): void {
    if (this.reason !== null) return;
    this.reason = reason;
    this.#listener?.();
  }

  /** Sets the one who is told, in place of the one before; null for nobody. */
  listen(listener: (() => void) | null): void {
    this.#listener = listener;
  }
}
