import type { Clock } from '../../platform/clock.ts';
import type { Random } from '../../platform/random.ts';
import type { ProviderKey } from '../resolution.ts';
import { drawOne } from '../weighted-draw.ts';
import type { BreakerPass } from './breaker.ts';
import type { ProviderRecord } from './provider-records.ts';
import type { KeyRecord, TargetRecord } from './target-record.ts';

/** Why no attempt at a target may begin now. */
export interface Refusal {
  /**
   * `open`: it has failed too often; `limited`: its limit is reached for each key; `credential`: it refuses the keys;
   * `full`: too many calls to its provider are in flight; `keys_tried`: this call has been refused with each of its keys.
   */
  readonly refused: 'open' | 'limited' | 'credential' | 'full' | 'keys_tried';
  /** Milliseconds until it may be worth while to ask again; null when that is not known. */
  readonly waitMs: number | null;
}

const full: Refusal = { refused: 'full', waitMs: null };
const keysTried: Refusal = { refused: 'keys_tried', waitMs: null };

/** How an attempt ended, as far as it tells of the target. */
export type VisitEnd =
  /** It answered, if only to refuse the request for what it is. */
  | { readonly kind: 'well' }
  /** @param reason in a few words that hold nothing of anyone's request, such as `answered 503`. */
  | { readonly kind: 'failed'; readonly reason: string }
  /** It would not serve the key: a limit, until `retryAfterMs` have passed when it said so, or a refused credential. */
  | {
      readonly kind: 'key_refused';
      readonly limit: boolean;
      readonly reason: string;
      readonly retryAfterMs: number | null;
    }
  /** The attempt was given up for reasons of our own. */
  | { readonly kind: 'unknown' };

/** A provider that asks for more patience than this is asked again after it: nobody means a year. */
const maxNamedMs = 24 * 3_600_000;
/** For less, a provider's refusal costs no more than keeping away. */
const worthWaitingMs = 1_000;

/** One attempt's dealings with its target, from its first byte to its last. */
export class Visit {
  readonly key: ProviderKey | null;
  readonly #provider: ProviderRecord;
  readonly #target: TargetRecord;
  readonly #keyRecord: KeyRecord;
  readonly #pass: BreakerPass;
  readonly #keyPass: BreakerPass;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #startedMs: number;
  #answered = false;
  #over = false;

  private constructor(
    provider: ProviderRecord,
    target: TargetRecord,
    keyRecord: KeyRecord,
    clock: Pick<Clock, 'monotonicMs'>,
    nowMs: number,
  ) {
    this.#provider = provider;
    this.#target = target;
    this.#keyRecord = keyRecord;
    this.#clock = clock;
    this.#startedMs = nowMs;
    this.key = keyRecord.key;
    this.#pass = target.breaker.enter(nowMs);
    this.#keyPass = keyRecord.breaker.enter(nowMs);
    provider.inFlight++;
    target.inFlight++;
  }

  static begin(
    provider: ProviderRecord,
    target: TargetRecord,
    refused: readonly ProviderKey[],
    clock: Pick<Clock, 'monotonicMs'>,
    random: Pick<Random, 'fraction'>,
  ): Visit | Refusal {
    const nowMs = clock.monotonicMs();
    if (!target.breaker.admits(nowMs)) {
      return { refused: 'open', waitMs: Math.max(0, (target.breaker.openUntilMs ?? nowMs) - nowMs) };
    }
    if (!provider.hasRoom()) return full;
    const [only] = target.keys;
    const key =
      only && target.keys.length === 1 && only.breaker.admits(nowMs) && refused.length === 0
        ? only
        : chooseKey(target.keys, refused, nowMs, random);
    if (key) return new Visit(provider, target, key, clock, nowMs);
    const untilMs = target.openUntil(nowMs);
    if (untilMs === null) return keysTried;
    const limited = target.keys.some((candidate) => candidate.limited);
    return { refused: limited ? 'limited' : 'credential', waitMs: Math.max(0, untilMs - nowMs) };
  }

  /** The first of the answer is there. An open target is known to be well again from here on, however long the rest takes. */
  answered(streamed: boolean): void {
    if (this.#answered) return;
    this.#answered = true;
    const nowMs = this.#clock.monotonicMs();
    this.#target.answered(nowMs - this.#startedMs, streamed);
    if (this.#pass.probe) this.#target.breaker.succeeded(this.#pass, nowMs);
    if (this.#keyPass.probe) this.#keyRecord.breaker.succeeded(this.#keyPass, nowMs);
  }

  /**
   * The provider has answered, and says that the key's limit is used up. Until it is full again another key is preferred,
   * and until there is room for a call none goes there with this one, if that takes long enough to be worth while.
   */
  exhausted(roomMs: number, fullMs: number): void {
    const nowMs = this.#clock.monotonicMs();
    const record = this.#keyRecord;
    record.lowUntilMs = nowMs + Math.min(fullMs, maxNamedMs);
    if (roomMs < worthWaitingMs) return;
    record.limited = true;
    record.breaker.openFor(Math.min(roomMs, maxNamedMs), nowMs, true);
  }

  /** To be told once; more is ignored. */
  end(how: VisitEnd): void {
    if (this.#over) return;
    this.#over = true;
    this.#provider.inFlight--;
    this.#target.inFlight--;
    const nowMs = this.#clock.monotonicMs();
    const { breaker } = this.#target;
    const key = this.#keyRecord.breaker;
    switch (how.kind) {
      case 'well':
        breaker.succeeded(this.#pass, nowMs);
        key.succeeded(this.#keyPass, nowMs);
        break;
      case 'failed':
        // A probe whose answer had begun has closed the breaker already; its failure counts like any other.
        breaker.failed(this.#answered && this.#pass.probe ? unbound : this.#pass, nowMs);
        key.abandoned(this.#keyPass);
        break;
      case 'key_refused':
        breaker.abandoned(this.#pass);
        this.#keyRecord.limited = how.limit;
        if (how.retryAfterMs === null) key.failed(this.#keyPass, nowMs);
        else key.openFor(Math.min(how.retryAfterMs, maxNamedMs), nowMs, true);
        break;
      case 'unknown':
        breaker.abandoned(this.#pass);
        key.abandoned(this.#keyPass);
        return;
    }
    this.#target.ended(how.kind === 'well' ? null : how.reason, nowMs);
  }
}

const unbound: BreakerPass = Object.freeze({ probe: false });

/** Drawn by weight among the keys that may be used and that this call has not been refused with. */
function chooseKey(
  keys: readonly KeyRecord[],
  refused: readonly ProviderKey[],
  nowMs: number,
  random: Pick<Random, 'fraction'>,
): KeyRecord | undefined {
  const usable = keys.filter(
    ({ key, breaker }) => breaker.admits(nowMs) && (key === null || !refused.includes(key)),
  );
  const full = usable.length > 1 ? usable.filter(({ lowUntilMs }) => lowUntilMs <= nowMs) : usable;
  const among = full.length > 0 ? full : usable;
  return among[drawOne(among, random.fraction)];
}
