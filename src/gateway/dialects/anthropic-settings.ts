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
import { cacheHint } from './openai-chat-prompt.ts';

/** What this dialect calls what a provider may have no place for. */
export const anthropicFieldNames: FieldNames = {
  maxOutputTokens: 'max_tokens',
  stopSequences: 'stop_sequences',
  topP: 'top_p',
  topK: 'top_k',
  responseFormat: 'output_config.format',
  toolChoice: 'tool_choice',
  reasoning: 'thinking',
  parallelToolCalls: 'tool_choice.disable_parallel_tool_use',
  strictTools: 'tools.strict',
};

/** Members that are read here or by the prompt. */
const carried = [
  'model',
  'messages',
  'system',
  'stream',
  'max_tokens',
  'temperature',
  'top_p',
  'top_k',
  'stop_sequences',
  'tools',
  'tool_choice',
  'thinking',
  'output_config',
  'output_format',
];

/**
 * Members that are left out, because they say nothing about the answer: who asks, for the provider's detection of
 * abuse; marks for the provider's own cache; and a wish to be told why that cache was missed.
 */
const leftOut = ['metadata', 'cache_control', 'diagnostics'];

/** Members that are left out with these values, which are what happens anyway. */
const defaults: Readonly<Record<string, (value: unknown) => boolean>> = {
  service_tier: (value) => value === 'auto' || value === 'standard_only',
  speed: (value) => value === 'standard',
  mcp_servers: (value) => Array.isArray(value) && value.length === 0,
};

/** Everything of a messages request but what is said in it. */
export function readAnthropicSettings(
  request: JsonObject,
  fields: FieldReader,
): Omit<LanguageModelV4CallOptions, 'prompt'> {
  for (const [name, isDefault] of Object.entries(defaults)) {
    const value = request[name];
    if (!absent(value) && !isDefault(value)) fields.refuse(name, 'cannot be carried');
  }
  fields.only(request, [...carried, ...leftOut, ...Object.keys(defaults)], '');
  if (absent(request.max_tokens)) fields.refuse('max_tokens', 'must be a number');
  const output = fields.object(request.output_config, 'output_config');
  if (output) fields.only(output, ['effort', 'format'], 'output_config');
  const choice = fields.object(request.tool_choice, 'tool_choice');
  return present({
    maxOutputTokens: fields.number(request.max_tokens, 'max_tokens'),
    temperature: fields.number(request.temperature, 'temperature'),
    topP: fields.number(request.top_p, 'top_p'),
    topK: fields.number(request.top_k, 'top_k'),
    stopSequences: stops(request.stop_sequences, fields),
    reasoning: reasoning(request.thinking, output?.effort, fields),
    responseFormat:
      responseFormat(output?.format, 'output_config.format', fields) ??
      responseFormat(request.output_format, 'output_format', fields),
    tools: tools(request.tools, fields),
    toolChoice: choice && toolChoice(choice, fields),
    providerOptions: packageOptions(request.thinking, choice, fields),
  });
}

function stops(given: unknown, fields: FieldReader): string[] | undefined {
  const stops = fields
    .list(given, 'stop_sequences')
    ?.flatMap((item, index) => fields.text(item, join('stop_sequences', index)) ?? []);
  return stops?.length === 0 ? undefined : stops;
}

const efforts = ['low', 'medium', 'high', 'xhigh', 'max'] as const;

/** Budgets in tokens up to which thinking counts as low and as medium: 1,024 is the least that can be asked for. */
const lowBudget = 4_096;
const mediumBudget = 16_384;

/**
 * Other providers are told how hard to think, not for how many tokens. Without thinking they are left their default:
 * most models that cannot think refuse to be told not to.
 */
function reasoning(
  given: unknown,
  effort: unknown,
  fields: FieldReader,
): LanguageModelV4CallOptions['reasoning'] {
  const thinking = fields.object(given, 'thinking');
  if (thinking) fields.only(thinking, ['type', 'budget_tokens', 'display'], 'thinking');
  const known = efforts.find((name) => name === effort);
  if (!absent(effort) && !known) {
    fields.refuse('output_config.effort', `must be one of ${efforts.join(', ')}`);
  }
  switch (thinking?.type) {
    case undefined:
    case 'adaptive':
      return known;
    case 'disabled':
      return undefined;
    case 'enabled': {
      const budget = fields.number(thinking.budget_tokens, 'thinking.budget_tokens') ?? lowBudget;
      return known ?? (budget <= lowBudget ? 'low' : budget <= mediumBudget ? 'medium' : 'high');
    }
    default:
      fields.refuse('thinking.type', 'must be enabled, adaptive or disabled');
      return undefined;
  }
}

function responseFormat(
  given: unknown,
  path: string,
  fields: FieldReader,
): LanguageModelV4CallOptions['responseFormat'] {
  const format = fields.object(given, path);
  if (!format) return undefined;
  const schema = fields.object(format.schema, join(path, 'schema'));
  if (format.type === 'json_schema' && schema) return { type: 'json', schema: schema as JSONSchema7 };
  fields.refuse(path, 'must be json_schema with its schema');
  return undefined;
}

/** Hints of how the caller's own tools are to be offered, for Anthropic's models only. */
const toolHints = ['eager_input_streaming', 'cache_control'];

function tools(given: unknown, fields: FieldReader): LanguageModelV4FunctionTool[] | undefined {
  const tools = fields.list(given, 'tools')?.flatMap((item, index): LanguageModelV4FunctionTool[] => {
    const path = join('tools', index);
    const tool = fields.object(item, path);
    if (!tool) return [];
    if (!absent(tool.type) && tool.type !== 'custom') {
      fields.refuse(join(path, 'type'), `"${String(tool.type)}" is a tool that only Anthropic's models have`);
      return [];
    }
    readToolLimits(tool, path, fields);
    const schema = fields.object(tool.input_schema, join(path, 'input_schema'));
    const named = present({
      type: 'function' as const,
      name: fields.text(tool.name, join(path, 'name')) ?? '',
      description: fields.text(tool.description, join(path, 'description')),
      strict: fields.flag(tool.strict, join(path, 'strict')),
    });
    if (named.name === '') fields.refuse(join(path, 'name'), 'must be a text');
    const inputSchema = (schema ?? { type: 'object', properties: {} }) as JSONSchema7;
    return [{ ...named, inputSchema, ...cacheHint(tool) }];
  });
  return tools?.length === 0 ? undefined : tools;
}

function readToolLimits(tool: JsonObject, path: string, fields: FieldReader): void {
  const known = ['type', 'name', 'description', 'input_schema', 'strict', ...toolHints];
  fields.only(tool, [...known, 'defer_loading', 'allowed_callers'], path);
  if (tool.defer_loading === true) fields.refuse(join(path, 'defer_loading'), 'cannot be carried');
  const callers = fields.list(tool.allowed_callers, join(path, 'allowed_callers')) ?? [];
  if (callers.some((caller) => caller !== 'direct')) {
    fields.refuse(join(path, 'allowed_callers'), 'cannot be carried');
  }
}

function toolChoice(choice: JsonObject, fields: FieldReader): LanguageModelV4ToolChoice | undefined {
  fields.only(choice, ['type', 'name', 'disable_parallel_tool_use'], 'tool_choice');
  switch (choice.type) {
    case 'auto':
    case 'none':
      return { type: choice.type };
    case 'any':
      return { type: 'required' };
    case 'tool':
      return { type: 'tool', toolName: fields.text(choice.name, 'tool_choice.name') ?? '' };
    default:
      fields.refuse('tool_choice.type', 'must be auto, any, tool or none');
      return undefined;
  }
}

/** What each package has a name of its own for; those that have none are known to `call-limits.ts`. */
function packageOptions(
  thinking: unknown,
  choice: JsonObject | undefined,
  fields: FieldReader,
): LanguageModelV4CallOptions['providerOptions'] | undefined {
  const path = 'tool_choice.disable_parallel_tool_use';
  const options = {
    ...(fields.flag(choice?.disable_parallel_tool_use, path) === true
      ? { openai: { parallelToolCalls: false }, anthropic: { disableParallelToolUse: true } }
      : {}),
    // Gemini only shows its thoughts when it is asked to.
    ...(showsThoughts(thinking) ? { google: { thinkingConfig: { includeThoughts: true } } } : {}),
  };
  return Object.keys(options).length > 0 ? options : undefined;
}

function showsThoughts(thinking: unknown): boolean {
  if (!isObject(thinking) || thinking.display === 'omitted') return false;
  return thinking.type === 'enabled' || thinking.type === 'adaptive';
}

/** Whether the caller is not to be shown what the model thought. */
export function hidesThoughts({ thinking }: JsonObject): 'all' | 'texts' | 'nothing' {
  if (!isObject(thinking)) return 'nothing';
  if (thinking.type === 'disabled') return 'all';
  return thinking.display === 'omitted' ? 'texts' : 'nothing';
}
