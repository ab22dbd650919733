import type { JSONSchema7, LanguageModelV4CallOptions, SharedV4ProviderOptions } from '@ai-sdk/provider';
import type { JsonObject } from '../json-object.ts';
import type { FieldNames } from '../translation/call-limits.ts';
import { absent, type FieldReader, isObject } from '../translation/field-reader.ts';
import { present } from '../translation/present.ts';
import { readTools } from './openai-responses-tools.ts';

/** What this dialect calls what a provider may have no place for. */
export const responsesFieldNames: FieldNames = {
  prompt: 'input',
  maxOutputTokens: 'max_output_tokens',
  topP: 'top_p',
  responseFormat: 'text.format',
  toolChoice: 'tool_choice',
  reasoning: 'reasoning.effort',
  parallelToolCalls: 'parallel_tool_calls',
  strictTools: 'tools.strict',
};

/** Members that are read here, by the input or by the gateway itself. */
const carried = [
  'model',
  'stream',
  'input',
  'instructions',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'max_output_tokens',
  'temperature',
  'top_p',
  'reasoning',
  'text',
];

/**
 * Members that are left out, because they say nothing about the answer: ids for OpenAI's own statistics, abuse
 * detection and cache, what the reply only repeats, and bounds on tools that OpenAI runs, which are refused anyway.
 */
const leftOut = [
  'user',
  'safety_identifier',
  'metadata',
  'prompt_cache_key',
  'prompt_cache_options',
  'prompt_cache_retention',
  'max_tool_calls',
];

const kept = 'is about what OpenAI keeps; send the conversation so far as input';

/** Members that are left out with the values that ask for nothing; and what to say of others. */
const defaults: Readonly<Record<string, readonly [(value: unknown) => boolean, string]>> = {
  store: [(value) => value === false, `must be false or absent: it ${kept}`],
  background: [(value) => value === false, 'must be false: use stream'],
  previous_response_id: [() => false, kept],
  conversation: [() => false, kept],
  prompt: [() => false, 'names a prompt that OpenAI keeps; send its text as instructions'],
  truncation: [(value) => value === 'disabled', 'cannot be carried; shorten the input'],
  context_management: [isEmptyList, 'cannot be carried; shorten the input'],
  top_logprobs: [(value) => value === 0, 'cannot be carried'],
  service_tier: [
    (value) => value === 'auto' || value === 'default',
    'cannot be carried but for auto and default',
  ],
  moderation: [() => false, 'cannot be carried'],
  stream_options: [
    (value) => isObject(value) && value.include_obfuscation !== true,
    'cannot be carried: only OpenAI pads its streams',
  ],
  // The rest of the list is about tools that OpenAI runs, but for encrypted reasoning, which is always included.
  include: [
    (value) => Array.isArray(value) && !value.includes('message.output_text.logprobs'),
    'cannot be carried with message.output_text.logprobs',
  ],
};

const efforts = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'] as const;

/** Everything of a request but its input. */
export function readResponsesSettings(
  request: JsonObject,
  fields: FieldReader,
): Omit<LanguageModelV4CallOptions, 'prompt'> {
  for (const [name, [asksForNothing, message]] of Object.entries(defaults)) {
    const value = request[name];
    if (!absent(value) && !asksForNothing(value)) fields.refuse(name, message);
  }
  fields.only(request, [...carried, ...leftOut, ...Object.keys(defaults)], '');
  return present({
    maxOutputTokens: fields.number(request.max_output_tokens, 'max_output_tokens'),
    temperature: fields.number(request.temperature, 'temperature'),
    topP: fields.number(request.top_p, 'top_p'),
    responseFormat: format(request.text, fields),
    ...reasoning(request.reasoning, fields),
    ...readTools(request, fields),
    providerOptions: providerOptions(request, fields),
  });
}

function format(given: unknown, fields: FieldReader): LanguageModelV4CallOptions['responseFormat'] {
  const text = fields.object(given, 'text');
  if (!text) return undefined;
  fields.only(text, ['format', 'verbosity'], 'text');
  if (!absent(text.verbosity) && text.verbosity !== 'medium') {
    fields.refuse('text.verbosity', 'cannot be carried; say in the instructions how long answers may be');
  }
  const wanted = fields.object(text.format, 'text.format');
  if (!wanted || wanted.type === 'text') return undefined;
  fields.only(wanted, ['type', 'name', 'schema', 'description', 'strict'], 'text.format');
  if (wanted.type === 'json_object') return { type: 'json' };
  const schema = fields.object(wanted.schema, 'text.format.schema');
  if (wanted.type !== 'json_schema' || !schema) {
    fields.refuse('text.format', 'must be text, json_object, or json_schema with its schema');
    return undefined;
  }
  const name = fields.text(wanted.name, 'text.format.name');
  const description = fields.text(wanted.description, 'text.format.description');
  return present({ type: 'json' as const, schema: schema as JSONSchema7, name, description });
}

/** `summary` is read with the provider options; providers that show what a model thought always summarise it. */
function reasoning(given: unknown, fields: FieldReader): Pick<LanguageModelV4CallOptions, 'reasoning'> {
  const wanted = fields.object(given, 'reasoning');
  if (!wanted) return {};
  fields.only(wanted, ['effort', 'summary', 'generate_summary', 'mode', 'context'], 'reasoning');
  if (!absent(wanted.mode) && wanted.mode !== 'standard')
    fields.refuse('reasoning.mode', 'cannot be carried');
  if (!absent(wanted.context) && wanted.context !== 'auto') {
    fields.refuse('reasoning.context', 'cannot be carried');
  }
  if (absent(wanted.effort)) return {};
  const effort = efforts.find((known) => known === wanted.effort);
  if (effort) return { reasoning: effort };
  fields.refuse('reasoning.effort', `must be one of ${efforts.join(', ')}`);
  return {};
}

/** What each package has a name of its own for. */
function providerOptions(request: JsonObject, fields: FieldReader): SharedV4ProviderOptions | undefined {
  const oneAtATime = fields.flag(request.parallel_tool_calls, 'parallel_tool_calls') === false;
  const { summary, generate_summary: older } = isObject(request.reasoning) ? request.reasoning : {};
  const options = {
    ...(oneAtATime
      ? { openai: { parallelToolCalls: false }, anthropic: { disableParallelToolUse: true } }
      : {}),
    // Gemini only shows its thoughts when it is asked to.
    ...(absent(summary ?? older) ? {} : { google: { thinkingConfig: { includeThoughts: true } } }),
  };
  return Object.keys(options).length > 0 ? options : undefined;
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}
