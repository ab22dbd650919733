import type { Clock } from '../../../platform/clock.ts';
import { AppError } from '../../../platform/errors.ts';
import type { Log } from '../../../platform/log.ts';
import type { IssuerFetch } from '../../people/issuers/issuer-fetch.ts';
import { keysFor, readKeySet, type UsableKey } from './usable-keys.ts';

/** Where an issuer's keys are. */
export interface KeySource {
  readonly issuer: string;
  /** Null: where the issuer's own description says (OpenID Connect Discovery 1.0, 4). */
  readonly jwksUri: string | null;
}

/** An issuer's keys as this instance knows them. */
export interface KeySet {
  /** Another one when the keys are others. */
  readonly version: number;
  /**
   * The keys that may have made a signature; at once when they are known here.
   * @throws AppError `overloaded` when too many wait for the issuer already.
   */
  find(algorithm: string, kid: string | null): readonly UsableKey[] | Promise<readonly UsableKey[]>;
  /** Whether what was verified with the keys of a version may be believed without looking again. */
  holds(version: number): boolean;
  state(): KeySetState;
}

export interface KeySetState {
  /** When the issuer last told its keys. */
  readonly readAt: Date | null;
  readonly keys: number;
  /** Why they could not be read the last time they were asked for; null: they could, or were not yet. */
  readonly problem: string | null;
}

/** From this age on, keys are asked for again beside the work that uses them. */
export const refreshAfterMs = 5 * 60_000;
/** From this age on, nothing is believed before they were asked for again: so long may a key that was withdrawn count. */
export const askFirstAfterMs = 15 * 60_000;
/** An issuer that cannot be asked is believed so long by what it said last. */
export const staleAfterMs = 60 * 60_000;
/** No issuer is asked more often, whatever tokens come: a key id that is not known costs an attacker nothing. */
export const askAgainMs = 10_000;
/** Requests that wait for one issuer's keys. */
const maxWaiting = 100;

export type KeySets = ReturnType<typeof createKeySets>;

/** Keys of issuers, one set for each place that they are at, whoever configured it. */
export function createKeySets(deps: {
  readonly fetch: IssuerFetch;
  readonly clock: Pick<Clock, 'now' | 'monotonicMs'>;
  readonly log: Log;
}) {
  let sets = new Map<string, KeySet>();
  const nameOf = ({ issuer, jwksUri }: KeySource) => (jwksUri === null ? `at ${issuer}` : `in ${jwksUri}`);
  return {
    /** The set of each source; sets of sources that are not among them are forgotten. */
    keepOnly(sources: readonly KeySource[]): (source: KeySource) => KeySet {
      const kept = new Map<string, KeySet>();
      for (const source of sources) {
        const name = nameOf(source);
        if (!kept.has(name)) kept.set(name, sets.get(name) ?? createKeySet(source, deps));
      }
      sets = kept;
      return (source) => kept.get(nameOf(source)) ?? createKeySet(source, deps);
    },
  };
}

/** The keys of one source: asked for by one request at a time, renewed while they are used, bounded in age. */
export function createKeySet(
  source: KeySource,
  deps: {
    readonly fetch: IssuerFetch;
    readonly clock: Pick<Clock, 'now' | 'monotonicMs'>;
    readonly log: Log;
  },
): KeySet {
  const { clock, log } = deps;
  let keys: readonly UsableKey[] = [];
  let text = '';
  let version = 0;
  let readAtMs = Number.NEGATIVE_INFINITY;
  let askedAtMs = Number.NEGATIVE_INFINITY;
  let readAt: Date | null = null;
  let problem: string | null = null;
  let asking: Promise<void> | null = null;
  let waiting = 0;

  const ageMs = () => clock.monotonicMs() - readAtMs;
  const mayAsk = () => asking === null && clock.monotonicMs() - askedAtMs >= askAgainMs;

  const read = async (): Promise<void> => {
    try {
      const uri = source.jwksUri ?? (await discover(source.issuer, deps.fetch));
      const found = await textAt(uri, deps.fetch);
      if (found !== text) {
        const usable = readKeySet(found);
        if (usable === null) throw new Unusable('the key set is none (RFC 7517)');
        [keys, text] = [usable, found];
        version++;
      }
      readAtMs = clock.monotonicMs();
      readAt = clock.now();
      problem = null;
    } catch (error) {
      const told = problemOf(error);
      if (told !== problem)
        log.warn({ issuer: source.issuer, problem: told }, 'keys of an issuer were not read');
      problem = told;
    }
  };
  /** Never rejects. */
  const ask = (): Promise<void> => {
    askedAtMs = clock.monotonicMs();
    asking = read().finally(() => {
      asking = null;
    });
    return asking;
  };
  const renewBeside = (): void => {
    if (ageMs() > refreshAfterMs && mayAsk()) void ask();
  };
  /** Whether what is known may be used as it is. After a failure it may for longer, so that nobody waits for what is down. */
  const isFresh = () => ageMs() <= (problem === null ? askFirstAfterMs : staleAfterMs);
  const known = (algorithm: string, kid: string | null) => (isFresh() ? keysFor(keys, algorithm, kid) : []);

  const afterAsking = async (algorithm: string, kid: string | null): Promise<readonly UsableKey[]> => {
    if (waiting >= maxWaiting) {
      throw new AppError('overloaded', 'Too many wait for the keys of this issuer. Try again shortly.', {
        retryAfterSeconds: 1,
      });
    }
    waiting++;
    try {
      await (asking ?? ask());
      return known(algorithm, kid);
    } finally {
      waiting--;
    }
  };

  return {
    get version() {
      return version;
    },
    find(algorithm, kid) {
      const found = known(algorithm, kid);
      if (found.length > 0) {
        renewBeside();
        return found;
      }
      return asking !== null || mayAsk() ? afterAsking(algorithm, kid) : [];
    },
    holds(verifiedWith) {
      if (verifiedWith !== version || !isFresh()) return false;
      renewBeside();
      return true;
    },
    state: () => ({ readAt, keys: keys.length, problem }),
  };
}

/** What is wrong with what an issuer says, in words for whoever configured it. */
class Unusable extends Error {}

async function discover(issuer: string, fetch: IssuerFetch): Promise<string> {
  const text = await textAt(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, fetch);
  let said: { issuer?: unknown; jwks_uri?: unknown } | null = null;
  try {
    said = JSON.parse(text);
  } catch {}
  // Whoever answers here in another's name would have us take that one's tokens for theirs, or the other way about.
  if (said?.issuer !== issuer) throw new Unusable('the description is not of this issuer');
  const { jwks_uri: uri } = said;
  if (typeof uri !== 'string' || !URL.canParse(uri)) throw new Unusable('the description names no jwks_uri');
  return uri;
}

async function textAt(url: string, fetch: IssuerFetch): Promise<string> {
  const reply = await fetch(url, { headers: { accept: 'application/json' } });
  if (reply.status !== 200) throw new Unusable(`the answer was ${reply.status}`);
  return reply.text();
}

/** Our own words only: what an address inside answers is not for whoever made us ask. */
function problemOf(error: unknown): string {
  if (error instanceof Unusable) return error.message;
  if (error instanceof AppError) return 'the address may not be asked';
  return 'the issuer cannot be reached, answers too slowly, or says too much';
}
