import type { Deliver, WebhookDestination } from './destination.ts';

/** How one guarded request ended: with a status, or with a reason. */
export type Posted = { readonly status: number } | { readonly status: null; readonly error: string };

export interface WebhookWays {
  /** The guarded way out, which refuses addresses that may not be reached. */
  readonly post: (
    message: {
      readonly url: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: string;
    },
    signal: AbortSignal,
  ) => Promise<Posted>;
  /** Headers of Standard Webhooks for a body. */
  readonly signed: (
    id: string,
    body: string,
    secrets: readonly string[],
    now: Date,
  ) => Record<string, string>;
  readonly now: () => Date;
}

/**
 * JSON lines in one signed POST. `webhook-id` names the log and the first leaf, so a receiver knows what it has had before; the
 * same leaf may come again with more behind it.
 */
export function deliverWebhook(
  { url }: WebhookDestination,
  secret: string,
  { post, signed, now }: WebhookWays,
): Deliver {
  return async (batch, signal) => {
    const body = `${batch.lines.map(({ text }) => text).join('\n')}\n`;
    const id = `audit-${batch.tenantId}-${batch.firstLeaf}-${batch.nextLeaf}`;
    const headers = { 'content-type': 'application/jsonl', ...signed(id, body, [secret], now()) };
    const outcome = await post({ url, headers, body }, signal);
    if (outcome.status === null) throw new Error(outcome.error);
    if (outcome.status < 200 || outcome.status >= 300)
      throw new Error(`answered with status ${outcome.status}`);
  };
}
