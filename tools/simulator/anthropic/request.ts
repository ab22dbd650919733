import type { Tool, Turn } from '../answers.ts';
import type { JsonSchema } from '../json-samples.ts';
import type { ModelCall } from '../model-call.ts';
import type { PromptPart } from '../prompt-cache.ts';
import { invalidRequest } from '../provider-error.ts';
import {
  optionalBoolean,
  optionalInteger,
  optionalList,
  optionalRecord,
  requiredList,
  requiredRecord,
  requiredText,
  stopTexts,
} from '../read-json.ts';
import { countTokens } from '../tokens.ts';
import { type Block, readCacheControl, readContent, sum } from './content.ts';

/** What the simulator reads from the body of `POST /v1/messages`; fields it does not know are let be. */
export interface MessagesRequest extends ModelCall {
  /** The prompt in the order in which it is cached: tools, system, messages. */
  readonly promptParts: readonly PromptPart[];
  /** Thinking is done, billed and signed, but its text is left out. */
  readonly thoughtsOmitted: boolean;
}

interface Message {
  readonly role: string;
  readonly blocks: readonly Block[];
}

const roles = new Set(['user', 'assistant', 'system']);
/** Tokens around each message, a figure of this simulator's own. */
const tokensPerMessage = 3;
const leastThinking = 1_024;

/** Reads a request. Throws ProviderError naming the field. `needsLength` is false where tokens are only counted. */
export function parseMessagesRequest(body: Record<string, unknown>, needsLength = true): MessagesRequest {
  const model = requiredText(body.model, 'model');
  const maxTokens = optionalInteger(body.max_tokens, 'max_tokens', 1);
  if (needsLength && maxTokens === undefined)
    throw invalidRequest('max_tokens: Field required', 'max_tokens');
  const messages = readMessages(body.messages);
  checkToolPairs(messages);
  const system = body.system === undefined ? [] : readContent(body.system, 'system');
  const tools = readTools(body.tools);
  const turns = [...systemTurn(system), ...messages.map(turnOf)];
  const thinking = readThinking(body.thinking, maxTokens);
  const all = [...system, ...messages.flatMap(({ blocks }) => blocks)];
  const toolParts = partsOfTools(body.tools);
  const framing = messages.length * tokensPerMessage;
  return {
    model,
    turns,
    stream: optionalBoolean(body.stream, 'stream'),
    maxTokens,
    stop: stopTexts(body.stop_sequences, 'stop_sequences', 64),
    tools,
    callTool: chooseTool(tools, body.tool_choice, turns),
    jsonSchema: readFormat(body),
    ...thinking,
    prompt: {
      all: framing + sum(toolParts, (part) => part.tokens) + sum(all, (block) => block.tokens),
      image: sum(all, (block) => block.imageTokens),
      audio: 0,
      images: sum(all, (block) => block.images),
    },
    toolResults: all.filter(isToolResult).map(({ toolId }) => toolId ?? ''),
    promptParts: withLastKept([...toolParts, ...all.map(({ part }) => part)], body.cache_control),
  };
}

/** `cache_control` of the request itself keeps all of the prompt. */
function withLastKept(parts: readonly PromptPart[], control: unknown): readonly PromptPart[] {
  const keepFor = readCacheControl(control, 'cache_control');
  const last = parts.at(-1);
  return keepFor && last ? [...parts.slice(0, -1), { ...last, keepFor }] : parts;
}

function readMessages(given: unknown): Message[] {
  const list = requiredList(given, 'messages');
  if (list.length === 0) throw invalidRequest('messages: at least one message is required', 'messages');
  return list.map((item, index) => {
    const param = `messages.${index}`;
    const { role, content } = requiredRecord(item, param);
    if (typeof role !== 'string' || !roles.has(role)) {
      throw invalidRequest(`${param}.role: must be 'user' or 'assistant'`, `${param}.role`);
    }
    const blocks = readContent(content, `${param}.content`);
    const isPrefill = role === 'assistant' && index === list.length - 1;
    if (blocks.length === 0 && !isPrefill) {
      throw invalidRequest(`${param}: all messages must have non-empty content`, `${param}.content`);
    }
    return { role, blocks };
  });
}

/** Every tool use is answered by the next message, and every result answers a use of the message before. */
function checkToolPairs(messages: readonly Message[]): void {
  messages.forEach(({ blocks }, index) => {
    const before = messages[index - 1]?.blocks.filter(({ type }) => type === 'tool_use') ?? [];
    const results = new Set(blocks.filter(isToolResult).map(({ toolId }) => toolId));
    for (const id of results) {
      if (before.some(({ toolId }) => toolId === id)) continue;
      const told = `messages.${index}.content: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${id}`;
      throw invalidRequest(told, `messages.${index}`);
    }
    const open = before.find(({ toolId }) => !results.has(toolId));
    if (open) {
      const told = `messages.${index - 1}: \`tool_use\` ids were found without \`tool_result\` blocks: ${open.toolId}`;
      throw invalidRequest(told, `messages.${index - 1}`);
    }
  });
}

function isToolResult({ type }: Block): boolean {
  return type === 'tool_result';
}

function systemTurn(system: readonly Block[]): Turn[] {
  return system.length === 0 ? [] : [{ role: 'system', text: system.map(({ text }) => text).join('\n') }];
}

/** A user's message that brings tool results is the tools' turn. */
function turnOf({ role, blocks }: Message): Turn {
  const results = blocks.filter(isToolResult);
  const spoken = results.length > 0 ? results : blocks.filter(({ type }) => type === 'text');
  const text = spoken.map((block) => block.text).join('\n');
  if (results.length > 0) return { role: 'tool', text };
  return { role: role as 'user' | 'assistant' | 'system', text };
}

/** Tools that run at the provider have another type than `custom`; they are counted, never called. */
function readTools(given: unknown): Tool[] {
  return optionalList(given, 'tools').flatMap((item, index) => {
    const param = `tools.${index}`;
    const tool = requiredRecord(item, param);
    if (tool.type !== undefined && tool.type !== 'custom') return [];
    const name = requiredText(tool.name, `${param}.name`);
    return [{ name, parameters: requiredRecord(tool.input_schema, `${param}.input_schema`) }];
  });
}

function partsOfTools(given: unknown): PromptPart[] {
  return optionalList(given, 'tools').map((item, index) => {
    const { cache_control: control, ...tool } = requiredRecord(item, `tools.${index}`);
    const content = JSON.stringify(tool);
    const keepFor = readCacheControl(control, `tools.${index}.cache_control`);
    return { content, tokens: countTokens(content), keepFor };
  });
}

/** The first tool right after a user's message, or always with `any`; the named one with `tool`; none with `none`. */
function chooseTool(tools: readonly Tool[], given: unknown, turns: readonly Turn[]): Tool | undefined {
  const choice = optionalRecord(given, 'tool_choice');
  if (choice?.type === 'none') return undefined;
  if (choice?.type === 'tool') {
    const named = tools.find(({ name }) => name === choice.name);
    if (!named) throw invalidRequest(`tool_choice: tool '${choice.name}' not found in tools`, 'tool_choice');
    return named;
  }
  const answersUser = turns.at(-1)?.role === 'user';
  return answersUser || choice?.type === 'any' ? tools[0] : undefined;
}

function readThinking(
  given: unknown,
  maxTokens: number | undefined,
): Pick<MessagesRequest, 'thinkingBudget' | 'tellThoughts' | 'thoughtsOmitted'> {
  const thinking = optionalRecord(given, 'thinking');
  const on = thinking?.type === 'enabled' || thinking?.type === 'adaptive';
  if (!thinking || !on) return { thinkingBudget: 0, tellThoughts: false, thoughtsOmitted: false };
  const thoughtsOmitted = thinking.display === 'omitted';
  if (thinking.type === 'adaptive') {
    return { thinkingBudget: Number.POSITIVE_INFINITY, tellThoughts: true, thoughtsOmitted };
  }
  const param = 'thinking.enabled.budget_tokens';
  const budget = optionalInteger(thinking.budget_tokens, param, leastThinking);
  if (budget === undefined) throw invalidRequest(`${param}: Field required`, param);
  if (maxTokens !== undefined && maxTokens <= budget) {
    throw invalidRequest('`max_tokens` must be greater than `thinking.budget_tokens`.', 'max_tokens');
  }
  return { thinkingBudget: budget, tellThoughts: true, thoughtsOmitted };
}

/** `output_config.format`, or `output_format` as it was named in its beta. */
function readFormat(body: Record<string, unknown>): JsonSchema | undefined {
  const config = optionalRecord(body.output_config, 'output_config');
  const format = optionalRecord(config?.format ?? body.output_format, 'output_config.format');
  if (format?.type !== 'json_schema') return undefined;
  return requiredRecord(format.schema, 'output_config.format.schema');
}
