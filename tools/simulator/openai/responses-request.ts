import type { Tool, Turn } from '../answers.ts';
import type { JsonSchema } from '../json-samples.ts';
import type { ModelCall } from '../model-call.ts';
import { invalidRequest } from '../provider-error.ts';
import {
  optionalBoolean,
  optionalInteger,
  optionalList,
  optionalRecord,
  optionalText,
  requiredRecord,
  requiredText,
} from '../read-json.ts';
import { countTokens } from '../tokens.ts';
import { thinks } from './chat-request.ts';
import { checkCallPairs, type InputItem, promptOf, readInput } from './responses-input.ts';

/** What the simulator reads from the body of `POST /v1/responses`; fields it does not know are let be. */
export interface ResponsesRequest extends ModelCall {
  /** The items of this request, after those of the response it goes on from. */
  readonly items: readonly InputItem[];
  readonly encryptThoughts: boolean;
  /** What the reply repeats of the request. */
  readonly echo: Record<string, unknown>;
}

/** The least the API takes for `max_output_tokens`. */
const leastOutput = 16;

/**
 * Reads a request. @param earlier the items of a response by its id, for `previous_response_id`.
 * Throws ProviderError naming the field.
 */
export function parseResponsesRequest(
  body: Record<string, unknown>,
  earlier: (id: string) => readonly InputItem[] | undefined,
): ResponsesRequest {
  const model = requiredText(body.model, 'model');
  const items = [...previousItems(body.previous_response_id, earlier), ...readInput(body.input)];
  if (items.length === 0) throw invalidRequest("'input' must hold something.", 'input');
  checkCallPairs(items);
  const instructions = optionalText(body.instructions, 'instructions');
  const system: Turn[] = instructions === undefined ? [] : [{ role: 'system', text: instructions }];
  const turns = [...system, ...items.flatMap(({ turn }) => turn ?? [])];
  const tools = readTools(body.tools);
  const reasoning = optionalRecord(body.reasoning, 'reasoning');
  const include = optionalList(body.include, 'include');
  const thinking = thinks(model, reasoning?.effort);
  const otherTokens =
    countTokens(instructions ?? '') +
    (body.tools === undefined ? 0 : countTokens(JSON.stringify(body.tools)));
  return {
    model,
    items,
    turns,
    stream: optionalBoolean(body.stream, 'stream'),
    maxTokens: optionalInteger(body.max_output_tokens, 'max_output_tokens', leastOutput),
    stop: [],
    tools,
    callTool: chooseTool(tools, body.tool_choice, turns),
    jsonSchema: readFormat(body.text),
    thinkingBudget: thinking ? Number.POSITIVE_INFINITY : 0,
    tellThoughts: thinking && typeof reasoning?.summary === 'string',
    encryptThoughts: include.includes('reasoning.encrypted_content'),
    prompt: promptOf(items, otherTokens),
    toolResults: items.flatMap(({ answers }) => answers ?? []),
    echo: echoOf(body, instructions),
  };
}

function previousItems(
  given: unknown,
  earlier: (id: string) => readonly InputItem[] | undefined,
): readonly InputItem[] {
  const id = optionalText(given, 'previous_response_id');
  if (id === undefined) return [];
  const items = earlier(id);
  if (!items) throw invalidRequest(`Previous response with id '${id}' not found.`, 'previous_response_id');
  return items;
}

/** Tools that run at the provider have another type than `function`; they are counted, never called. */
function readTools(given: unknown): Tool[] {
  return optionalList(given, 'tools').flatMap((item, index) => {
    const param = `tools[${index}]`;
    const tool = requiredRecord(item, param);
    if (tool.type !== 'function') return [];
    const parameters = optionalRecord(tool.parameters, `${param}.parameters`);
    return [
      {
        name: requiredText(tool.name, `${param}.name`),
        parameters: parameters ?? { type: 'object', properties: {} },
      },
    ];
  });
}

/** The first tool right after a user's message, always with `required`; a named one when it is asked for. */
function chooseTool(tools: readonly Tool[], choice: unknown, turns: readonly Turn[]): Tool | undefined {
  if (choice === 'none') return undefined;
  const asked = typeof choice === 'object' ? optionalRecord(choice, 'tool_choice') : undefined;
  if (asked?.type === 'function') {
    const named = tools.find(({ name }) => name === asked.name);
    if (!named) throw invalidRequest(`Tool choice '${asked.name}' not found in 'tools'.`, 'tool_choice');
    return named;
  }
  return turns.at(-1)?.role === 'user' || choice === 'required' ? tools[0] : undefined;
}

function readFormat(given: unknown): JsonSchema | undefined {
  const text = optionalRecord(given, 'text');
  const format = optionalRecord(text?.format, 'text.format');
  if (format?.type === 'json_object') return { type: 'object', properties: { answer: { type: 'string' } } };
  if (format?.type !== 'json_schema') return undefined;
  return requiredRecord(format.schema, 'text.format.schema');
}

function echoOf(body: Record<string, unknown>, instructions: string | undefined): Record<string, unknown> {
  return {
    instructions: instructions ?? null,
    metadata: body.metadata ?? {},
    max_output_tokens: body.max_output_tokens ?? null,
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: body.previous_response_id ?? null,
    reasoning: { effort: null, summary: null, ...(body.reasoning as object | undefined) },
    store: body.store ?? true,
    temperature: body.temperature ?? 1,
    text: { verbosity: 'medium', format: { type: 'text' }, ...(body.text as object | undefined) },
    tool_choice: body.tool_choice ?? 'auto',
    tools: body.tools ?? [],
    top_p: body.top_p ?? 1,
    truncation: body.truncation ?? 'disabled',
    user: body.user ?? null,
  };
}
