import { describe, expect, it } from 'vitest';
import { AppError } from '../platform/errors.ts';
import { checkedDescription, kindRules, type ProviderDescription } from './provider-kinds.ts';
import { type ProviderKind, providerKinds } from './resolution.ts';

const described = (kind: ProviderKind, more: Partial<ProviderDescription> = {}): ProviderDescription => ({
  kind,
  baseUrl: null,
  awsRegion: null,
  projectId: null,
  maxConcurrent: null,
  timeouts: {},
  ...more,
});
/** The fields that are named as wrong. */
function problems(given: ProviderDescription, hasKey = true): string[] {
  try {
    checkedDescription(given, true, hasKey);
  } catch (error) {
    if (error instanceof AppError && error.code === 'invalid') return error.errors.map(({ path }) => path);
    throw error;
  }
  return [];
}

describe('what a kind of provider needs', () => {
  it.each<[ProviderKind, Partial<ProviderDescription>, string]>([
    ['openai', {}, 'https://api.openai.com/v1'],
    ['anthropic', {}, 'https://api.anthropic.com/v1'],
    ['gemini', {}, 'https://generativelanguage.googleapis.com/v1beta'],
    ['ollama', {}, 'http://127.0.0.1:11434/v1'],
    ['bedrock', { awsRegion: 'us-east-1' }, 'https://bedrock-runtime.us-east-1.amazonaws.com'],
    ['kapa', { projectId: 'p1' }, 'https://api.kapa.ai'],
  ])('%s is at its official address unless another one is given', (kind, more, address) => {
    expect(checkedDescription(described(kind, more), true, true).baseUrl).toBe(address);
    const baseUrl = 'https://proxy.example.com/x/';
    expect(checkedDescription(described(kind, { ...more, baseUrl }), true, true).baseUrl).toBe(
      'https://proxy.example.com/x',
    );
  });

  it('is an address where the kind has no official one', () => {
    expect(problems(described('azure'))).toEqual(['base_url']);
    expect(problems(described('openai-compatible'))).toEqual(['base_url']);
  });

  it('is a key, but for servers of one’s own', () => {
    const without = providerKinds.filter((kind) => !problems(described(kind), false).includes('api_key'));
    expect(without).toEqual(['openai', 'ollama', 'openai-compatible']);
  });

  it('is named with every other problem, what is foreign to the kind included', () => {
    expect(problems(described('bedrock', { projectId: 'p1' }), false)).toEqual([
      'api_key',
      'aws_region',
      'project_id',
    ]);
    expect(problems(described('kapa', { awsRegion: 'us-east-1' }))).toEqual(['aws_region', 'project_id']);
    for (const kind of providerKinds) {
      const { awsRegion, projectId } = kindRules[kind];
      const baseUrl = 'https://models.example.com';
      const foreign = problems(described(kind, { baseUrl, awsRegion: 'us-east-1', projectId: 'p1' }));
      expect(foreign).toEqual([...(awsRegion ? [] : ['aws_region']), ...(projectId ? [] : ['project_id'])]);
    }
  });

  it('becomes settings of which none is there unasked', () => {
    expect(checkedDescription(described('openai'), true, true).settings).toEqual({});
    const full = { awsRegion: 'us-east-1', maxConcurrent: 3, timeouts: { idleMs: 5 } };
    expect(checkedDescription(described('bedrock', full), true, true).settings).toEqual(full);
  });

  it('is no local address for whoever may not have one', () => {
    expect(() => checkedDescription(described('ollama'), false, false)).toThrow(
      expect.objectContaining({ errors: [expect.objectContaining({ path: 'base_url' })] }),
    );
  });
});
