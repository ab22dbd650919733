import type { Clock } from '../platform/clock.ts';
import type { Random } from '../platform/random.ts';
import type { Secrets } from '../platform/secret-box.ts';
import { UnreadableReference } from '../platform/secret-references/index.ts';
import type { ClaimedDelivery } from './deliveries.store.ts';
import type { Post, PostOutcome } from './guarded-post.ts';
import { messageFor } from './message-for.ts';
import type { OpenChannel, Teller } from './outgoing-message.ts';
import { nextTryInMs, retryAfterMs } from './retry-schedule.ts';
import { isSigningSecret } from './webhook-message.ts';

/** What a channel's address or routing key is sealed for. */
export const targetPurpose = (tenantId: string, channelId: string) =>
  `notification channel:${tenantId}:${channelId}`;
/** What a signing secret is sealed for. */
export const signingPurpose = (tenantId: string, secretId: string) =>
  `notification secret:${tenantId}:${secretId}`;

/** What becomes of a delivery after one try. */
export type Verdict =
  | { readonly result: 'delivered'; readonly status: number }
  /** The receiver says that it is gone for good. */
  | { readonly result: 'gone'; readonly status: number }
  | {
      /** To be tried again, or given up. */
      readonly result: 'failed' | 'dead';
      readonly status: number | null;
      readonly error: string;
      readonly nextInMs: number | null;
      /** For so long the receiver wants nothing at all. */
      readonly heldBackMs: number | null;
    };

export interface AttemptDependencies {
  readonly post: Post;
  readonly secretBox: Pick<Secrets, 'open'>;
  readonly teller: Teller;
  readonly clock: Pick<Clock, 'now' | 'monotonicMs'>;
  readonly random: Pick<Random, 'fraction'>;
}

/** Sends a delivery once and judges what came back. Never throws. */
export async function attempt(
  deps: AttemptDependencies,
  delivery: ClaimedDelivery,
  signal: AbortSignal,
): Promise<Verdict> {
  const began = deps.clock.monotonicMs();
  const outcome = await sendOnce(deps, delivery, signal);
  const now = deps.clock.now();
  const aged = delivery.aged_ms + deps.clock.monotonicMs() - began;
  return judge(delivery, outcome, { aged, now, fraction: deps.random.fraction });
}

async function sendOnce(
  deps: AttemptDependencies,
  delivery: ClaimedDelivery,
  signal: AbortSignal,
): Promise<PostOutcome> {
  let channel: OpenChannel;
  try {
    channel = await opened(deps.secretBox, delivery);
  } catch (error) {
    return { status: null, error: whyNotOpened(error) };
  }
  return deps.post(messageFor(channel, delivery, deps.teller, deps.clock.now()), signal);
}

async function opened(secretBox: Pick<Secrets, 'open'>, delivery: ClaimedDelivery): Promise<OpenChannel> {
  const { tenant_id: tenantId, channel_id: channelId } = delivery;
  const target = await secretBox.open(delivery.sealed_target, targetPurpose(tenantId, channelId), tenantId);
  const signingSecrets: string[] = [];
  for (const { id, sealed } of delivery.secrets) {
    const secret = await secretBox.open(sealed, signingPurpose(tenantId, id), tenantId);
    if (!isSigningSecret(secret))
      throw new UnreadableReference('The signing secret is none: whsec_ is missing.');
    signingSecrets.push(secret);
  }
  return { kind: delivery.channel_kind, target, signingSecrets };
}

/** For the tenant, who knows the reference but not what wraps the keys. */
function whyNotOpened(error: unknown): string {
  return error instanceof UnreadableReference
    ? `not sent: ${error.message}`.slice(0, 400)
    : 'not sent: the channel was sealed by another master key, or one that is revoked';
}

/** The rules of Standard Webhooks for what a status means, and PagerDuty's for 400. */
export function judge(
  delivery: Pick<ClaimedDelivery, 'tries' | 'channel_kind'>,
  outcome: PostOutcome,
  at: { readonly aged: number; readonly now: Date; readonly fraction: () => number },
): Verdict {
  const { status } = outcome;
  if (status === null) return failure(outcome.error);
  if (status >= 200 && status < 300) return { result: 'delivered', status };
  if (status === 410) return { result: 'gone', status };
  if (status === 400 && delivery.channel_kind === 'pagerduty') {
    const error = 'PagerDuty does not accept this event or routing key';
    return { result: 'dead', status, error, nextInMs: null, heldBackMs: null };
  }
  const asked = retryAfterMs(outcome.retryAfter, at.now);
  return failure(`answered with status ${status}${noteOn(status)}`, asked);

  function failure(error: string, askedMs: number | null = null): Verdict {
    const nextInMs = nextTryInMs(delivery.tries, at.aged, askedMs, at.fraction);
    const heldBackMs = status === 429 || status === 503 ? askedMs : null;
    return { result: nextInMs === null ? 'dead' : 'failed', status, error, nextInMs, heldBackMs };
  }
}

function noteOn(status: number): string {
  return status >= 300 && status < 400 ? '; redirects are not followed' : '';
}
