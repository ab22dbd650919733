import { z } from 'zod';
import { createClient } from '../client.ts';
import { ServerRefusal, ServerUnreachable } from '../client-errors.ts';
import type { Facts } from './facts.ts';
import { type Check, type Finding, ok, problem, skipped } from './finding.ts';

const answerWithinMs = 5_000;
const healthView = z.object({
  status: z.string(),
  version: z.string(),
  checks: z.array(z.object({ name: z.string(), status: z.string(), detail: z.string().nullable() })),
});

/** Asks the running server, with the key that commands would use, how it is. */
export const serverCheck: Check<Facts> = {
  name: 'server',
  run: async ({ client: settings, clock }) => {
    if (!settings) return [skipped('server', 'the configuration comes first')];
    const client = createClient({ ...settings, tenant: null, clock });
    const signal = AbortSignal.timeout(answerWithinMs);
    try {
      if (settings.apiKey === null) {
        await client.call('GET', '/health/live', { signal });
        return [
          ok('server', `runs at ${settings.url}`),
          skipped('key', 'none is given (--key or GATEHOUSE_API_KEY)'),
        ];
      }
      const health = healthView.safeParse(await client.call('GET', '/api/v1/health/detailed', { signal }));
      return [
        ...(health.success
          ? healthFindings(settings.url, health.data)
          : [ok('server', `runs at ${settings.url}`)]),
        ok('key', 'is accepted'),
      ];
    } catch (error) {
      return failureFindings(error, settings.url, settings.isNamed);
    } finally {
      await client.close();
    }
  },
};

function healthFindings(url: string, health: z.infer<typeof healthView>): Finding[] {
  const failing = health.checks.filter((check) => check.status !== 'ok');
  if (failing.length === 0) return [ok('server', `version ${health.version} runs at ${url} and is well`)];
  return failing.map((check) =>
    problem(
      'server',
      `runs at ${url}, and its ${check.name} fails${check.detail ? `: ${check.detail}` : ''}`,
      'Its log says more.',
    ),
  );
}

/** @param isNamed whether someone said that a server is at this address. */
function failureFindings(error: unknown, url: string, isNamed: boolean): Finding[] {
  if (error instanceof ServerRefusal && error.status === 401) {
    return [
      ok('server', `runs at ${url}`),
      problem(
        'key',
        'is not accepted: it is mistyped, expired, revoked, or of another Gatehouse',
        'Correct GATEHOUSE_API_KEY or --key. If every key is lost, stop the server and run: gatehouse keys create --role owner --offline',
      ),
    ];
  }
  if (error instanceof ServerRefusal && error.status === 403) {
    return [
      ok('server', `runs at ${url}`),
      ok('key', 'is accepted, for less than looking at the health of the server'),
    ];
  }
  if (error instanceof ServerRefusal) {
    return [problem('server', `at ${url} answers: ${error.detail} (${error.status})`, 'Its log says more.')];
  }
  if (!(error instanceof ServerUnreachable) && (error as Error).name !== 'TimeoutError') throw error;
  if (!isNamed) return [skipped('server', `none runs at ${url}`)];
  const why =
    error instanceof ServerUnreachable ? error.message : `no answer within ${answerWithinMs / 1000} seconds`;
  return [problem('server', why, 'Start it, or correct GATEHOUSE_URL or --url.')];
}
