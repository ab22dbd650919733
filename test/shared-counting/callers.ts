import { request } from 'node:http';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import type { House, LimitedTenant } from './house.ts';

/** A stranger's request, at the instances in turn, from an address of this machine with what it claims. @returns the status. */
export function knock(
  house: House,
  n: number,
  { from = '127.0.0.1', claims }: { readonly from?: string; readonly claims: string },
): Promise<number> {
  const { hostname, port } = new URL(house.instances.server(n % 2).url);
  return new Promise((resolve, reject) => {
    const options = { hostname, port, path: '/api/v1/tenants', localAddress: from };
    const sent = request({ ...options, headers: { 'x-forwarded-for': claims } }, (reply) => {
      reply.resume();
      resolve(reply.statusCode ?? 0);
    });
    sent.on('error', reject).end();
  });
}

/** What a client sent and was answered, in the order of the answers. */
export interface Traffic {
  readonly status: number;
  readonly retryAfterMs: number;
  readonly answeredAt: number;
  readonly sentAt: number;
}

/** The official clients as an application makes them, but that what they send is seen. Each asks one instance. */
export function clientsOf(house: House, tenant: LimitedTenant, maxRetries: number) {
  const traffic: Traffic[] = [];
  const watched: typeof fetch = async (input, init) => {
    const sentAt = performance.now();
    const reply = await fetch(input, init);
    const retryAfterMs = Number(reply.headers.get('retry-after') ?? 0) * 1_000;
    traffic.push({ status: reply.status, retryAfterMs, sentAt, answeredAt: performance.now() });
    return reply;
  };
  const common = { apiKey: tenant.key, maxRetries, fetch: watched };
  return {
    traffic,
    openai: new OpenAI({ ...common, baseURL: `${house.instances.server(0).url}/v1` }),
    anthropic: new Anthropic({ ...common, baseURL: house.instances.server(1).url }),
  };
}
