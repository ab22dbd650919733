import type {
  JSONSchema7,
  LanguageModelV4CallOptions,
  LanguageModelV4FunctionTool,
  LanguageModelV4ToolChoice,
} from '@ai-sdk/provider';
import type { JsonObject } from '../json-object.ts';
import type { FieldNames } from '../translation/call-limits.ts';
import { absent, type FieldReader, isObject, join } from '../translation/field-reader.ts';
import { present } from '../translation/present.ts';

/** What this dialect calls what a provider may have no place for. */
export const chatFieldNames: FieldNames = {
  prompt: 'messages',
  maxOutputTokens: 'max_tokens',
  stopSequences: 'stop',
  topP: 'top_p',
  topK: 'top_k',
  presencePenalty: 'presence_penalty',
  frequencyPenalty: 'frequency_penalty',
  responseFormat: 'response_format',
  toolChoice: 'tool_choice',
  reasoning: 'reasoning_effort',
  parallelToolCalls: 'parallel_tool_calls',
  strictTools: 'tools.strict',
};

/** Members that are read here or by the prompt. */
const carried = [
  'model',
  'messages',
  'stream',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'response_format',
  'stop',
  'max_tokens',
  'max_completion_tokens',
  'temperature',
  'top_p',
  'top_k',
  'seed',
  'presence_penalty',
  'frequency_penalty',
  'reasoning_effort',
];

/**
 * Members that are left out, because they say nothing about the answer: ids for the provider's own statistics, abuse
 * detection and cache, and what the gateway does itself.
 */
const leftOut = [
  'user',
  'safety_identifier',
  // But for `kapa_thread_id`, which Kapa's wire reads.
  'metadata',
  'prompt_cache_key',
  'prompt_cache_retention',
  // Whether usage is sent is decided by the writer of the stream.
  'stream_options',
];

/** Members that are left out with these values, which are what happens anyway. */
const defaults: Readonly<Record<string, (value: unknown) => boolean>> = {
  n: (value) => value === 1,
  store: (value) => value === false,
  logprobs: (value) => value === false,
  top_logprobs: (value) => value === 0,
  logit_bias: (value) => isObject(value) && Object.keys(value).length === 0,
  service_tier: (value) => value === 'auto' || value === 'default',
  modalities: (value) => Array.isArray(value) && value.length === 1 && value[0] === 'text',
  verbosity: (value) => value === 'medium',
};

const efforts = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'] as const;

/** Everything of a chat request but its messages. */
export function readChatSettings(
  request: JsonObject,
  fields: FieldReader,
): Omit<LanguageModelV4CallOptions, 'prompt'> {
  for (const [name, isDefault] of Object.entries(defaults)) {
    const value = request[name];
    if (!absent(value) && !isDefault(value)) fields.refuse(name, 'cannot be carried');
  }
  fields.only(request, [...carried, ...leftOut, ...Object.keys(defaults)], '');
  const bound = absent(request.max_completion_tokens) ? 'max_tokens' : 'max_completion_tokens';
  return present({
    maxOutputTokens: fields.number(request[bound], bound),
    temperature: fields.number(request.temperature, 'temperature'),
    topP: fields.number(request.top_p, 'top_p'),
    topK: fields.number(request.top_k, 'top_k'),
    seed: fields.number(request.seed, 'seed'),
    // Many clients send the zero that stands for none.
    presencePenalty: fields.number(request.presence_penalty, 'presence_penalty') || undefined,
    frequencyPenalty: fields.number(request.frequency_penalty, 'frequency_penalty') || undefined,
    stopSequences: stops(request.stop, fields),
    reasoning: effort(request.reasoning_effort, fields),
    responseFormat: responseFormat(request.response_format, fields),
    tools: tools(request.tools, fields),
    toolChoice: toolChoice(request.tool_choice, fields),
    providerOptions: parallelTools(request.parallel_tool_calls, fields),
  });
}

function stops(given: unknown, fields: FieldReader): string[] | undefined {
  if (typeof given === 'string') return [given];
  return fields.list(given, 'stop')?.flatMap((item, index) => fields.text(item, `stop.${index}`) ?? []);
}

function effort(given: unknown, fields: FieldReader): LanguageModelV4CallOptions['reasoning'] {
  if (absent(given)) return undefined;
  const known = efforts.find((name) => name === given);
  if (!known) fields.refuse('reasoning_effort', `must be one of ${efforts.join(', ')}`);
  return known;
}

function responseFormat(given: unknown, fields: FieldReader): LanguageModelV4CallOptions['responseFormat'] {
  const format = fields.object(given, 'response_format');
  if (!format || format.type === 'text') return undefined;
  if (format.type === 'json_object') return { type: 'json' };
  const wanted = fields.object(format.json_schema, 'response_format.json_schema');
  const schema = fields.object(wanted?.schema, 'response_format.json_schema.schema');
  if (format.type !== 'json_schema' || !schema) {
    fields.refuse('response_format', 'must be text, json_object, or json_schema with its schema');
    return undefined;
  }
  const name = fields.text(wanted?.name, 'response_format.json_schema.name');
  const description = fields.text(wanted?.description, 'response_format.json_schema.description');
  return present({ type: 'json' as const, schema: schema as JSONSchema7, name, description });
}

function tools(given: unknown, fields: FieldReader): LanguageModelV4FunctionTool[] | undefined {
  return fields.list(given, 'tools')?.flatMap((item, index) => {
    const path = `tools.${index}`;
    const tool = fields.object(item, path);
    const definition = fields.object(tool?.function, join(path, 'function'));
    if (tool?.type !== 'function' || !definition) {
      fields.refuse(path, 'must be a function');
      return [];
    }
    const at = join(path, 'function');
    fields.only(definition, ['name', 'description', 'parameters', 'strict'], at);
    const schema = fields.object(definition.parameters, join(at, 'parameters'));
    const named = present({
      type: 'function' as const,
      name: fields.text(definition.name, join(at, 'name')) ?? '',
      description: fields.text(definition.description, join(at, 'description')),
      strict: fields.flag(definition.strict, join(at, 'strict')),
    });
    return { ...named, inputSchema: (schema ?? { type: 'object', properties: {} }) as JSONSchema7 };
  });
}

function toolChoice(given: unknown, fields: FieldReader): LanguageModelV4ToolChoice | undefined {
  if (absent(given)) return undefined;
  if (given === 'auto' || given === 'none' || given === 'required') return { type: given };
  const name = isObject(given) && isObject(given.function) ? given.function.name : undefined;
  if (typeof name === 'string') return { type: 'tool', toolName: name };
  fields.refuse('tool_choice', 'must be auto, none, required or one function');
  return undefined;
}

/** Each package has a name of its own for it; the ones that have none are known to `call-limits.ts`. */
function parallelTools(
  given: unknown,
  fields: FieldReader,
): LanguageModelV4CallOptions['providerOptions'] | undefined {
  if (fields.flag(given, 'parallel_tool_calls') !== false) return undefined;
  return { openai: { parallelToolCalls: false }, anthropic: { disableParallelToolUse: true } };
}
