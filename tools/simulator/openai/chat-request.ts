import type { Tool, Turn } from '../answers.ts';
import type { JsonSchema } from '../json-samples.ts';
import type { ModelCall } from '../model-call.ts';
import { invalidRequest } from '../provider-error.ts';
import { optionalBoolean, optionalInteger, optionalRecord, requiredRecord } from '../read-json.ts';
import { countPromptTokens } from './chat-tokens.ts';

/** What the simulator reads from the body of `POST /v1/chat/completions`; fields it does not know are let be. */
export interface ChatRequest extends ModelCall {
  readonly includeUsage: boolean;
  readonly choices: number;
}

const maxChoices = 128;
const maxStops = 4;
const roles = new Set(['system', 'developer', 'user', 'assistant', 'tool', 'function']);

/** Reads a request. Throws ProviderError 400 naming the field when the OpenAI API would not take it. */
export function parseChatRequest(body: Record<string, unknown>): ChatRequest {
  const { model, messages } = body;
  if (typeof model !== 'string' || model === '') throw invalidRequest('You must name a model.', 'model');
  if (!Array.isArray(messages) || messages.length === 0) {
    throw invalidRequest("'messages' must be a list with at least one message.", 'messages');
  }
  const stream = optionalBoolean(body.stream, 'stream');
  const streamOptions = optionalRecord(body.stream_options, 'stream_options');
  if (streamOptions && !stream) {
    throw invalidRequest("'stream_options' may only be set when 'stream' is true.", 'stream_options');
  }
  const turns = messages.map(readTurn);
  checkToolPairs(messages);
  const tools = readTools(body.tools);
  return {
    model,
    turns,
    stream,
    includeUsage: optionalBoolean(streamOptions?.include_usage, 'stream_options.include_usage'),
    choices: optionalInteger(body.n, 'n', 1, maxChoices) ?? 1,
    maxTokens: readMaxTokens(body),
    stop: readStop(body.stop),
    tools,
    callTool: chooseTool(tools, body.tool_choice, turns),
    jsonSchema: readResponseFormat(body.response_format),
    thinkingBudget: thinks(model, body.reasoning_effort) ? Number.POSITIVE_INFINITY : 0,
    tellThoughts: false,
    prompt: countPromptTokens(messages, body.tools),
    toolResults: messages
      .map((message) => (message as Record<string, unknown>).tool_call_id)
      .filter((id): id is string => typeof id === 'string'),
  };
}

/** Models whose names say that they reason (o1, o3, gpt-5, …) do, unless the effort asked for is minimal or none. */
export function thinks(model: string, effort: unknown): boolean {
  return /^(?:o\d|gpt-5)/u.test(model) && effort !== 'none' && effort !== 'minimal';
}

/** Every tool message answers a call of the assistant's message before it, and every such call is answered. */
function checkToolPairs(messages: readonly unknown[]): void {
  let open = new Set<string>();
  messages.forEach((message, index) => {
    const { role, tool_call_id: id, tool_calls: calls } = message as Record<string, unknown>;
    if (role === 'tool') {
      if (typeof id === 'string' && open.delete(id)) return;
      const told = "Messages with role 'tool' must answer a message before them that has 'tool_calls'.";
      throw invalidRequest(told, `messages.[${index}].role`);
    }
    if (open.size > 0) {
      const told = `These tool calls have no answer among the messages right after them: ${[...open].join(', ')}`;
      throw invalidRequest(told, `messages.[${index}].role`);
    }
    const asked = Array.isArray(calls) ? (calls as Record<string, unknown>[]) : [];
    open = new Set(asked.map((call) => String(call.id)));
  });
  if (open.size > 0) throw invalidRequest(`No answer to tool calls ${[...open].join(', ')}.`, 'messages');
}

function readTurn(message: unknown, index: number): Turn {
  const param = `messages[${index}]`;
  const { role, content } = requiredRecord(message, param);
  if (typeof role !== 'string' || !roles.has(role)) {
    throw invalidRequest(`'${param}.role' must be one of ${[...roles].join(', ')}.`, `${param}.role`);
  }
  return { role: roleOf(role), text: readContent(content, `${param}.content`) };
}

function roleOf(role: string): Turn['role'] {
  if (role === 'developer') return 'system';
  if (role === 'function') return 'tool';
  return role as Turn['role'];
}

function readContent(content: unknown, param: string): string {
  if (content === undefined || content === null) return '';
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) throw invalidRequest(`'${param}' must be a text or a list of parts.`, param);
  return content
    .map((part, index) => requiredRecord(part, `${param}[${index}]`).text)
    .filter((text): text is string => typeof text === 'string')
    .join('\n');
}

function readTools(tools: unknown): Tool[] {
  if (tools === undefined || tools === null) return [];
  if (!Array.isArray(tools)) throw invalidRequest("'tools' must be a list.", 'tools');
  return tools.map((tool, index) => {
    const definition = requiredRecord(
      requiredRecord(tool, `tools[${index}]`).function,
      `tools[${index}].function`,
    );
    if (typeof definition.name !== 'string') {
      throw invalidRequest('A tool needs a name.', `tools[${index}].function.name`);
    }
    const parameters = optionalRecord(definition.parameters, `tools[${index}].function.parameters`);
    return { name: definition.name, parameters: parameters ?? { type: 'object', properties: {} } };
  });
}

/** The first tool right after a user's message, a named one whenever it is asked for, none with `none`. */
function chooseTool(tools: readonly Tool[], choice: unknown, turns: readonly Turn[]): Tool | undefined {
  if (choice === 'none') return undefined;
  const asked = optionalRecord(typeof choice === 'object' ? choice : undefined, 'tool_choice')?.function;
  if (asked !== undefined) {
    const { name } = requiredRecord(asked, 'tool_choice.function');
    const named = tools.find((tool) => tool.name === name);
    if (!named) throw invalidRequest(`'tool_choice' names a tool that is not in 'tools'.`, 'tool_choice');
    return named;
  }
  const answersUser = turns.at(-1)?.role === 'user';
  return answersUser || choice === 'required' ? tools[0] : undefined;
}

function readResponseFormat(format: unknown): JsonSchema | undefined {
  const asked = optionalRecord(format, 'response_format');
  if (asked?.type === 'json_object') return { type: 'object', properties: { answer: { type: 'string' } } };
  if (asked?.type !== 'json_schema') return undefined;
  const holder = requiredRecord(asked.json_schema, 'response_format.json_schema');
  return requiredRecord(holder.schema, 'response_format.json_schema.schema');
}

function readMaxTokens(body: Record<string, unknown>): number | undefined {
  const most = Number.MAX_SAFE_INTEGER;
  return (
    optionalInteger(body.max_completion_tokens, 'max_completion_tokens', 1, most) ??
    optionalInteger(body.max_tokens, 'max_tokens', 1, most)
  );
}

function readStop(stop: unknown): string[] {
  if (stop === undefined || stop === null) return [];
  const texts: unknown[] = Array.isArray(stop) ? stop : [stop];
  if (texts.length > maxStops) throw invalidRequest(`'stop' may hold at most ${maxStops} texts.`, 'stop');
  return texts.filter((text): text is string => typeof text === 'string' && text !== '');
}
