import { AppError } from '../platform/errors.ts';
import type { Demand, DemandState, Refused } from './counters/counters.ts';
import { describeLimit, type LimitDescription, type LimitScope } from './named-demand.ts';

const seconds = (ms: number): number => Math.ceil(ms / 1000);

const whose: Readonly<Record<LimitScope, string>> = {
  ip: 'This address',
  user: 'This user',
  key: 'This key',
  tenant: 'This tenant',
  route: 'This route',
  model: 'This model',
};

/** 429 that names the limit, whom it limits, and when to come back. */
export function refusalOf(demand: Demand, refused: Refused): AppError {
  const about = describeLimit(demand);
  const state = refused.states[refused.exhausted];
  const retryAfter = refused.retryAfterMs === null ? undefined : Math.max(1, seconds(refused.retryAfterMs));
  if (about === undefined) {
    return new AppError('rate_limited', 'A limit is exhausted. Try again later.', again(retryAfter));
  }
  const advice =
    retryAfter === undefined
      ? 'This request is larger than the limit, so trying again will not help.'
      : `Try again in ${retryAfter} ${retryAfter === 1 ? 'second' : 'seconds'}.`;
  return new AppError('rate_limited', `${whose[about.scope]} ${inWords(about)}. ${advice}`, {
    ...again(retryAfter),
    extra: {
      limit: about.limit,
      scope: about.scope,
      subject: about.subject,
      limit_value: about.value,
      remaining: state?.remaining ?? 0,
      reset_seconds: seconds(state?.resetMs ?? 0),
    },
  });
}

const again = (retryAfter: number | undefined) =>
  retryAfter === undefined ? {} : { retryAfterSeconds: retryAfter };

function inWords({ limit, value, quota }: LimitDescription): string {
  switch (limit) {
    case 'queries_per_second':
      return `makes more than ${value} queries a second, with up to ${quota} at a burst`;
    case 'concurrent':
      return `has as many queries at once as it may, ${value}`;
    default: {
      const [what, , period] = limit.split('_');
      return `has not enough left of its ${value} ${what} a ${period}`;
    }
  }
}

/**
 * What limits say of themselves. `RateLimit` and `RateLimit-Policy` name all of them; `X-RateLimit-*` the one nearest to
 * exhaustion, its reset in seconds from now. How many may run at once is not looked at for the latter unless nothing of it
 * is left: a caller who reads it takes it for requests to come.
 */
export function limitHeaders(
  demands: readonly Demand[],
  states: readonly DemandState[],
): Readonly<Record<string, string>> {
  let items = '';
  let policies = '';
  let nearest: LimitDescription | undefined;
  let nearestState: DemandState | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < demands.length; i++) {
    const about = describeLimit(demands[i] as Demand);
    const state = states[i];
    if (about === undefined || state === undefined) continue;
    const reset = about.windowSeconds === null ? '' : `;t=${seconds(state.resetMs)}`;
    const comma = items === '' ? '' : ', ';
    items += `${comma}"${about.name}";r=${state.remaining}${reset}`;
    policies += comma + about.policyItem;
    const share = about.quota === 0 ? 0 : state.remaining / about.quota;
    if (share < least && (about.windowSeconds !== null || state.remaining === 0)) {
      nearest = about;
      nearestState = state;
      least = share;
    }
  }
  if (items === '') return none;
  const headers: Record<string, string> = { RateLimit: items, 'RateLimit-Policy': policies };
  if (nearest !== undefined && nearestState !== undefined) {
    headers['X-RateLimit-Limit'] = String(nearest.quota);
    headers['X-RateLimit-Remaining'] = String(nearestState.remaining);
    headers['X-RateLimit-Reset'] = String(seconds(nearestState.resetMs));
  }
  return headers;
}

const none = Object.freeze({});
