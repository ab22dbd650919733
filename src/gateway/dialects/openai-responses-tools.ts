import type {
  JSONSchema7,
  LanguageModelV4CallOptions,
  LanguageModelV4FunctionTool,
  LanguageModelV4ToolChoice,
} from '@ai-sdk/provider';
import type { JsonObject } from '../json-object.ts';
import { absent, type FieldReader, isObject, join } from '../translation/field-reader.ts';
import { present } from '../translation/present.ts';
import { recordOf } from '../usage/token-counts.ts';

/** A function without parameters takes none. */
const noParameters: JSONSchema7 = { type: 'object', properties: {} };
/** Other providers have functions only, so a custom tool becomes one whose only argument is its text. */
const oneText: JSONSchema7 = {
  type: 'object',
  properties: { input: { type: 'string' } },
  required: ['input'],
  additionalProperties: false,
};

/** Reads `tools` and `tool_choice`. Tools that OpenAI itself would run are refused. */
export function readTools(
  request: JsonObject,
  fields: FieldReader,
): Pick<LanguageModelV4CallOptions, 'tools' | 'toolChoice'> {
  const given = fields.list(request.tools, 'tools') ?? [];
  const tools = given.flatMap((item, index) => {
    const tool = fields.object(item, join('tools', index));
    return (tool && readTool(tool, join('tools', index), fields)) ?? [];
  });
  if (tools.length === 0) return {};
  const { toolChoice, allowed } = readChoice(request.tool_choice, tools, fields);
  const offered = allowed ? tools.filter((tool) => allowed.has(tool.name)) : tools;
  return present({ tools: offered, toolChoice });
}

/** Names of the request's custom tools: their calls are written in another form than those of functions. */
export function customToolsOf(request: JsonObject): ReadonlySet<string> {
  const tools = Array.isArray(request.tools) ? request.tools.map(recordOf) : [];
  return new Set(tools.flatMap(({ type, name }) => (type === 'custom' ? [String(name)] : [])));
}

/** The text that a model gave to a custom tool. @param input JSON of the arguments. */
export function customInputOf(input: string): string {
  try {
    const text = recordOf(JSON.parse(input)).input;
    return typeof text === 'string' ? text : input;
  } catch {
    return input;
  }
}

function readTool(tool: JsonObject, path: string, fields: FieldReader): LanguageModelV4FunctionTool | null {
  const name = fields.text(tool.name, join(path, 'name')) ?? '';
  const description = fields.text(tool.description, join(path, 'description'));
  switch (tool.type) {
    case 'function': {
      fields.only(tool, ['type', 'name', 'description', 'parameters', 'strict'], path);
      const schema = fields.object(tool.parameters, join(path, 'parameters')) as JSONSchema7 | undefined;
      // Left out, it asks for as much as the provider can do; only where it was asked for, a provider must be able to.
      const strict = fields.flag(tool.strict, join(path, 'strict')) === true ? true : undefined;
      return {
        ...present({ type: 'function' as const, name, description, strict }),
        inputSchema: schema ?? noParameters,
      };
    }
    case 'custom':
      fields.only(tool, ['type', 'name', 'description', 'format'], path);
      if (isObject(tool.format) && tool.format.type !== 'text') {
        fields.refuse(join(path, 'format'), 'must be text: no other provider keeps a model to a grammar');
      }
      return { ...present({ type: 'function' as const, name, description }), inputSchema: oneText };
    default:
      fields.refuse(path, `is a tool that OpenAI runs: ${JSON.stringify(tool.type)}`);
      return null;
  }
}

interface Choice {
  readonly toolChoice?: LanguageModelV4ToolChoice;
  /** The tools that the choice leaves; any provider can be given fewer. */
  readonly allowed?: ReadonlySet<unknown>;
}

function readChoice(
  choice: unknown,
  tools: readonly LanguageModelV4FunctionTool[],
  fields: FieldReader,
): Choice {
  if (absent(choice)) return {};
  if (choice === 'auto' || choice === 'none' || choice === 'required')
    return { toolChoice: { type: choice } };
  const { type, name, mode, tools: allowed } = recordOf(choice);
  if ((type === 'function' || type === 'custom') && tools.some((tool) => tool.name === name)) {
    return { toolChoice: { type: 'tool', toolName: String(name) } };
  }
  if (type === 'allowed_tools' && (mode === 'auto' || mode === 'required') && Array.isArray(allowed)) {
    return { toolChoice: { type: mode }, allowed: new Set(allowed.map((tool) => recordOf(tool).name)) };
  }
  fields.refuse('tool_choice', 'must be none, auto, required, allowed_tools, or one of the tools');
  return {};
}
