import { chatBody, type LimitedTenant } from './house.ts';

export interface HeldStreams {
  /** Those that were admitted and have not ended. */
  open(): readonly { readonly instance: number }[];
  /** What was neither admitted nor refused for want of room. */
  readonly strange: readonly string[];
  /** What one of them holds of its tenant's tokens. */
  readonly tokensOfOne: number;
  /** Breaks all off, and resolves when they have ended here. */
  leave(): Promise<void>;
}

const body = JSON.stringify(chatBody(500, { stream: true }));

/** Opens streams, all at once, and holds those that were admitted. Resolves when each of them has been answered. */
export async function openStreams(
  places: readonly { readonly instance: number; readonly url: string }[],
  tenant: LimitedTenant,
): Promise<HeldStreams> {
  const leaving = new AbortController();
  const open = new Set<{ readonly instance: number }>();
  const strange: string[] = [];
  const readings: Promise<void>[] = [];
  const begin = async ({ instance, url }: { instance: number; url: string }): Promise<void> => {
    const reply = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${tenant.key}`, 'content-type': 'application/json' },
      body,
      signal: leaving.signal,
    });
    if (reply.status !== 200) {
      const text = await reply.text();
      if (reply.status !== 429) strange.push(`answered ${reply.status}: ${text.slice(0, 200)}`);
      return;
    }
    const one = { instance };
    open.add(one);
    const ended = () => void open.delete(one);
    readings.push(reply.text().then(ended, ended));
  };
  await Promise.all(places.map(begin));
  return {
    open: () => [...open],
    strange,
    tokensOfOne: Math.ceil(body.length / 4) + 500,
    async leave() {
      leaving.abort();
      await Promise.all(readings);
    },
  };
}
