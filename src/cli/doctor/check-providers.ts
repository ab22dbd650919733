import type { ProviderFromEnvironment } from '../../platform/config.ts';
import type { Facts } from './facts.ts';
import { type Check, type Finding, ok, problem, skipped } from './finding.ts';

const answerWithinMs = 5_000;

export const providersCheck: Check<Facts> = {
  name: 'providers',
  run: async ({ config, online }) => {
    if (!config) return [skipped('providers', 'the configuration comes first')];
    const providers = config.environmentProviders;
    if (providers.length === 0) {
      return [
        ok(
          'providers',
          'none in the environment; without a model, answers are made of the best passages, quoted',
        ),
      ];
    }
    if (online) return Promise.all(providers.map(askProvider));
    const list = providers.map(({ name, baseUrl }) => `${name} (${new URL(baseUrl).host})`).join(', ');
    return [ok('providers', `${list}; --online asks them whether they accept their keys`)];
  },
};

/** Asks for the list of models, which costs nothing. */
async function askProvider(provider: ProviderFromEnvironment): Promise<Finding> {
  const place = new URL(provider.baseUrl).host;
  let status: number;
  try {
    const response = await fetch(`${provider.baseUrl.replace(/\/+$/, '')}/models`, {
      headers: credentialOf(provider),
      // A key goes to the address that was named and nowhere else.
      redirect: 'manual',
      signal: AbortSignal.timeout(answerWithinMs),
    });
    status = response.status;
    await response.body?.cancel();
  } catch (error) {
    return problem(
      'providers',
      `${provider.name} cannot be reached at ${place}: ${whyUnreachable(error)}`,
      'Check the network, a proxy or firewall, and the base URL.',
    );
  }
  return answerFinding(provider.name, place, status);
}

export function answerFinding(name: string, place: string, status: number): Finding {
  if (status >= 200 && status < 300) return ok('providers', `${name} accepts its key`);
  if (status === 401 || status === 403) {
    return problem(
      'providers',
      `${name} does not accept its key (${status})`,
      'Get a new key from the provider and set its variable.',
    );
  }
  return problem(
    'providers',
    `${name} answers ${status} at ${place}`,
    status === 404
      ? 'The base URL is perhaps wrong; most end in /v1.'
      : 'The provider may be in trouble, or limit this key. Try again later.',
  );
}

function credentialOf({ name, apiKey }: ProviderFromEnvironment): Record<string, string> {
  if (apiKey === null) return {};
  // Its list of models is not a part of the OpenAI-compatible interface.
  if (name === 'anthropic') return { 'x-api-key': apiKey, 'anthropic-version': '2023-06-01' };
  return { authorization: `Bearer ${apiKey}` };
}

function whyUnreachable(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `no answer within ${answerWithinMs / 1000} seconds`;
  const cause = error.cause as NodeJS.ErrnoException | undefined;
  return cause?.code ?? cause?.message ?? error.message;
}
