import type { ProviderFromEnvironment } from '../../platform/environment-providers.ts';
import { isReference } from '../../platform/secret-references/index.ts';
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

/** Asks for something that costs nothing: the list of models, mostly. */
async function askProvider(provider: ProviderFromEnvironment): Promise<Finding> {
  if (provider.apiKey !== null && isReference(provider.apiKey)) {
    return skipped(
      'providers',
      `the key of ${provider.name} is kept at ${provider.apiKey}, which the server reads`,
    );
  }
  const { url, headers, refusals } = questionFor(provider);
  const place = url.host;
  let status: number;
  try {
    const response = await fetch(url, {
      headers,
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
  if (refusals === null) {
    return ok(
      'providers',
      `${provider.name} can be reached; whether it accepts its keys, the first call will tell`,
    );
  }
  return answerFinding(provider.name, place, status, refusals);
}

/** @param refusals statuses that mean that the key is not accepted. */
export function answerFinding(
  name: string,
  place: string,
  status: number,
  refusals: readonly number[] = usualRefusals,
): Finding {
  if (status >= 200 && status < 300) return ok('providers', `${name} accepts its key`);
  if (refusals.includes(status)) {
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

const usualRefusals = [401, 403];

interface ProviderQuestion {
  readonly url: URL;
  readonly headers: Record<string, string>;
  /** Null: an answer of any status only shows that it is there. */
  readonly refusals: readonly number[] | null;
}

/** What each kind is asked, in its own way. */
export function questionFor({ kind, baseUrl, apiKey, settings }: ProviderFromEnvironment): ProviderQuestion {
  const at = (path: string, from = baseUrl) => new URL(`${from.replace(/\/+$/, '')}${path}`);
  const withKey = (name: string): Record<string, string> => (apiKey === null ? {} : { [name]: apiKey });
  const bearer: Record<string, string> = apiKey === null ? {} : { authorization: `Bearer ${apiKey}` };
  const refusals = usualRefusals;
  switch (kind) {
    case 'anthropic':
      return {
        url: at('/models'),
        headers: { ...withKey('x-api-key'), 'anthropic-version': '2023-06-01' },
        refusals,
      };
    case 'gemini':
      // It answers 400 to a key that is not one.
      return { url: at('/models'), headers: withKey('x-goog-api-key'), refusals: [400, ...refusals] };
    case 'azure':
      return { url: at('/models'), headers: withKey('api-key'), refusals };
    case 'kapa':
      return {
        url: at(`/query/v1/projects/${settings.projectId}/integrations/`),
        headers: withKey('x-api-key'),
        refusals,
      };
    case 'bedrock':
      // Models are listed by the service beside the one that runs them. AWS keys would have to sign the question.
      return apiKey?.includes(':')
        ? { url: at('/'), headers: {}, refusals: null }
        : {
            url: at('/foundation-models', baseUrl.replace('//bedrock-runtime', '//bedrock')),
            headers: bearer,
            refusals,
          };
    case 'openai':
    case 'openai-compatible':
    case 'ollama':
      return { url: at('/models'), headers: bearer, refusals };
  }
}

function whyUnreachable(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `no answer within ${answerWithinMs / 1000} seconds`;
  const cause = error.cause as NodeJS.ErrnoException | undefined;
  return cause?.code ?? cause?.message ?? error.message;
}
