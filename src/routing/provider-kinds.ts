import { AppError, type FieldProblem } from '../platform/errors.ts';
import { checkedBaseUrl } from './address-policy.ts';
import type { ProviderKind, ProviderSettings, ProviderTimeouts } from './resolution.ts';

/** What has to be said of a provider of one kind. */
interface KindRules {
  /** Where everybody's is; null: each has an address of its own, which must be given. */
  readonly officialAddress: ((settings: ProviderSettings) => string) | null;
  readonly exampleAddress: string;
  readonly keyNeeded: boolean;
  readonly awsRegion: boolean;
  readonly projectId: boolean;
}

const plain = { keyNeeded: true, awsRegion: false, projectId: false };
const at = (address: string) => ({ officialAddress: () => address, exampleAddress: address });

export const kindRules: Readonly<Record<ProviderKind, KindRules>> = {
  // Without a key, because servers of one's own have long been set up as this kind.
  openai: { ...plain, ...at('https://api.openai.com/v1'), keyNeeded: false },
  azure: {
    ...plain,
    officialAddress: null,
    exampleAddress: 'https://<resource>.openai.azure.com/openai/v1',
  },
  anthropic: { ...plain, ...at('https://api.anthropic.com/v1') },
  gemini: { ...plain, ...at('https://generativelanguage.googleapis.com/v1beta') },
  bedrock: {
    ...plain,
    officialAddress: ({ awsRegion }) => `https://bedrock-runtime.${awsRegion}.amazonaws.com`,
    exampleAddress: 'https://bedrock-runtime.eu-central-1.amazonaws.com',
    awsRegion: true,
  },
  ollama: { ...plain, ...at('http://127.0.0.1:11434/v1'), keyNeeded: false },
  'openai-compatible': {
    ...plain,
    officialAddress: null,
    exampleAddress: 'https://models.example.com/v1',
    keyNeeded: false,
  },
  kapa: { ...plain, ...at('https://api.kapa.ai'), projectId: true },
};

/** A provider as its maker describes it, keys aside. */
export interface ProviderDescription {
  readonly kind: ProviderKind;
  /** Null: the kind's official address. */
  readonly baseUrl: string | null;
  readonly awsRegion: string | null;
  readonly projectId: string | null;
  readonly maxConcurrent: number | null;
  readonly timeouts: ProviderTimeouts;
}

/**
 * @param localAllowed whether it may be on this machine.
 * @param hasKey whether it has a key, given now or kept.
 * @returns its address in normal form and the settings that its kind knows.
 * @throws AppError `invalid` naming each field that is missing or has no meaning for the kind; that of
 *   `checkedBaseUrl` for an address that may not be used.
 */
export function checkedDescription(
  given: ProviderDescription,
  localAllowed: boolean,
  hasKey: boolean,
): { baseUrl: string; settings: ProviderSettings } {
  const rules = kindRules[given.kind];
  const problems = problemsOf(given, rules, hasKey);
  const [first] = problems;
  if (first) {
    const detail = problems.map(({ path, message }) => `${path} ${message}`).join('; ');
    throw new AppError('invalid', `${detail}.`, { errors: problems });
  }
  const settings = settingsOf(given);
  const address = given.baseUrl ?? rules.officialAddress?.(settings) ?? '';
  return { baseUrl: checkedBaseUrl(address, localAllowed), settings };
}

function problemsOf(given: ProviderDescription, rules: KindRules, hasKey: boolean): FieldProblem[] {
  const problems: FieldProblem[] = [];
  const say = (path: string, message: string) => problems.push({ path, message });
  const { kind } = given;
  if (given.baseUrl === null && rules.officialAddress === null) {
    say('base_url', `is needed for the kind "${kind}", such as ${rules.exampleAddress}`);
  }
  if (rules.keyNeeded && !hasKey) say('api_key', `is needed for the kind "${kind}"`);
  if (rules.awsRegion && given.awsRegion === null)
    say('aws_region', `is needed for the kind "${kind}", such as eu-central-1`);
  if (!rules.awsRegion && given.awsRegion !== null) say('aws_region', `means nothing for the kind "${kind}"`);
  if (rules.projectId && given.projectId === null)
    say('project_id', `is needed for the kind "${kind}": the project that answers`);
  if (!rules.projectId && given.projectId !== null) say('project_id', `means nothing for the kind "${kind}"`);
  return problems;
}

function settingsOf(given: ProviderDescription): ProviderSettings {
  return {
    ...(given.awsRegion === null ? {} : { awsRegion: given.awsRegion }),
    ...(given.projectId === null ? {} : { projectId: given.projectId }),
    ...(given.maxConcurrent === null ? {} : { maxConcurrent: given.maxConcurrent }),
    ...(Object.keys(given.timeouts).length === 0 ? {} : { timeouts: given.timeouts }),
  };
}
