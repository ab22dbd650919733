import type { FieldProblem } from './errors.ts';

/** A provider that is available because its own variable is set, with no further set-up. */
export interface ProviderFromEnvironment {
  readonly name: string;
  readonly kind:
    | 'openai'
    | 'azure'
    | 'anthropic'
    | 'gemini'
    | 'bedrock'
    | 'ollama'
    | 'openai-compatible'
    | 'kapa';
  readonly baseUrl: string;
  /** For Bedrock `<access key id>:<secret>[:<session token>]` or a Bedrock API key; null: the server asks for none. */
  readonly apiKey: string | null;
  readonly settings: { readonly awsRegion?: string; readonly projectId?: string };
}

/** The variables that make providers, under the names that their makers' own packages use, each with an example. */
export const providerVariables = {
  OPENAI_API_KEY: 'sk-…',
  OPENAI_BASE_URL: 'https://api.openai.com/v1',
  ANTHROPIC_API_KEY: 'sk-ant-…',
  GEMINI_API_KEY: 'AIza…',
  AZURE_OPENAI_API_KEY: '…',
  AZURE_OPENAI_BASE_URL: 'https://my-resource.openai.azure.com/openai/v1',
  AWS_REGION: 'eu-central-1',
  AWS_BEARER_TOKEN_BEDROCK: 'bedrock-api-key-…',
  AWS_ACCESS_KEY_ID: 'AKIA…',
  AWS_SECRET_ACCESS_KEY: '…',
  AWS_SESSION_TOKEN: '…',
  KAPA_API_KEY: '…',
  KAPA_PROJECT_ID: '0b1e2c3d-…',
  MISTRAL_API_KEY: '…',
  GROQ_API_KEY: 'gsk_…',
  DEEPSEEK_API_KEY: 'sk-…',
  OLLAMA_BASE_URL: 'http://127.0.0.1:11434',
} as const;

export type ProviderVariables = { readonly [Name in keyof typeof providerVariables]?: string | undefined };

/** It becomes a part of an address. */
export const awsRegionPattern = /^[a-z]{2}(-[a-z]{1,20}){1,3}-\d{1,2}$/;

/** @returns the providers whose variables are set, each at the address that its maker documents. */
export function environmentProviders(given: ProviderVariables): ProviderFromEnvironment[] {
  const plain = (
    name: string,
    kind: ProviderFromEnvironment['kind'],
    apiKey: string | undefined,
    baseUrl: string,
  ) => (apiKey ? [{ name, kind, baseUrl, apiKey, settings: {} }] : []);
  return [
    ...plain('openai', 'openai', given.OPENAI_API_KEY, given.OPENAI_BASE_URL ?? 'https://api.openai.com/v1'),
    ...plain('anthropic', 'anthropic', given.ANTHROPIC_API_KEY, 'https://api.anthropic.com/v1'),
    ...plain('google', 'gemini', given.GEMINI_API_KEY, 'https://generativelanguage.googleapis.com/v1beta'),
    ...azure(given),
    ...bedrock(given),
    ...plain('mistral', 'openai-compatible', given.MISTRAL_API_KEY, 'https://api.mistral.ai/v1'),
    ...plain('groq', 'openai-compatible', given.GROQ_API_KEY, 'https://api.groq.com/openai/v1'),
    ...plain('deepseek', 'openai-compatible', given.DEEPSEEK_API_KEY, 'https://api.deepseek.com/v1'),
    ...ollama(given),
    ...kapa(given),
  ];
}

/**
 * @returns a problem for each variable without which another one that is set makes no provider. AWS keys alone are none:
 *   many machines have them for other purposes.
 */
export function incompleteProviders(given: ProviderVariables): FieldProblem[] {
  return partners.flatMap(({ key, other, form }) =>
    given[key] && !form.test(given[other] ?? '')
      ? [{ path: other, message: `is needed for ${key}, for example ${other}=${providerVariables[other]}` }]
      : [],
  );
}

const partners = [
  { key: 'AZURE_OPENAI_API_KEY', other: 'AZURE_OPENAI_BASE_URL', form: /./ },
  { key: 'AWS_BEARER_TOKEN_BEDROCK', other: 'AWS_REGION', form: awsRegionPattern },
  { key: 'KAPA_API_KEY', other: 'KAPA_PROJECT_ID', form: /./ },
] as const;

function azure(given: ProviderVariables): ProviderFromEnvironment[] {
  const { AZURE_OPENAI_API_KEY: apiKey, AZURE_OPENAI_BASE_URL: address } = given;
  if (!apiKey || !address) return [];
  const url = new URL(address);
  // The resource's plain address is what Azure's portal shows.
  const baseUrl = url.pathname === '/' ? `${url.origin}/openai/v1` : address;
  return [{ name: 'azure', kind: 'azure', baseUrl, apiKey, settings: {} }];
}

function bedrock(given: ProviderVariables): ProviderFromEnvironment[] {
  const { AWS_REGION: awsRegion, AWS_BEARER_TOKEN_BEDROCK: bearer } = given;
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: session } = given;
  const signing = id && secret ? [id, secret, ...(session ? [session] : [])].join(':') : undefined;
  const apiKey = bearer ?? signing;
  if (!apiKey || !awsRegion || !awsRegionPattern.test(awsRegion)) return [];
  const baseUrl = `https://bedrock-runtime.${awsRegion}.amazonaws.com`;
  return [{ name: 'bedrock', kind: 'bedrock', baseUrl, apiKey, settings: { awsRegion } }];
}

function ollama({ OLLAMA_BASE_URL: address }: ProviderVariables): ProviderFromEnvironment[] {
  if (!address) return [];
  const baseUrl = `${address.replace(/\/+$/, '').replace(/\/v1$/, '')}/v1`;
  return [{ name: 'ollama', kind: 'ollama', baseUrl, apiKey: null, settings: {} }];
}

function kapa({
  KAPA_API_KEY: apiKey,
  KAPA_PROJECT_ID: projectId,
}: ProviderVariables): ProviderFromEnvironment[] {
  if (!apiKey || !projectId) return [];
  return [{ name: 'kapa', kind: 'kapa', baseUrl: 'https://api.kapa.ai', apiKey, settings: { projectId } }];
}
