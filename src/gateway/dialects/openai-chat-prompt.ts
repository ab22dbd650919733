import type {
  LanguageModelV4FilePart,
  LanguageModelV4Message,
  LanguageModelV4Prompt,
  LanguageModelV4TextPart,
  LanguageModelV4ToolResultOutput,
  LanguageModelV4ToolResultPart,
} from '@ai-sdk/provider';
import type { JsonObject } from '../json-object.ts';
import { type FieldReader, isObject, join } from '../translation/field-reader.ts';
import { readAssistantMessage } from './openai-chat-assistant.ts';
import { readChatFile } from './openai-chat-files.ts';

type Message<R extends LanguageModelV4Message['role']> = Extract<LanguageModelV4Message, { role: R }>;

/**
 * The messages of a chat (https://platform.openai.com/docs/api-reference/chat/create#messages) in the neutral form.
 * Results that follow one another become one message, because a provider wants all results of a round at once.
 */
export function readChatPrompt(messages: readonly unknown[], fields: FieldReader): LanguageModelV4Prompt {
  const prompt: LanguageModelV4Prompt = [];
  /** Names of the tools by the ids of their calls: the result of a call only has its id. */
  const toolNames = new Map<string, string>();
  messages.forEach((given, index) => {
    const path = `messages.${index}`;
    const message = fields.object(given, path);
    if (!message) return;
    switch (message.role) {
      case 'system':
      case 'developer':
        fields.only(message, ['role', 'content'], path);
        prompt.push({ role: 'system', content: plainText(message.content, join(path, 'content'), fields) });
        break;
      case 'user':
        fields.only(message, ['role', 'content'], path);
        prompt.push({ role: 'user', content: userParts(message.content, join(path, 'content'), fields) });
        break;
      case 'assistant':
        prompt.push(readAssistantMessage(message, path, toolNames, fields));
        break;
      case 'tool':
        addToolResult(prompt, toolResult(message, path, toolNames, fields));
        break;
      default:
        fields.refuse(join(path, 'role'), 'must be system, developer, user, assistant or tool');
    }
  });
  return prompt;
}

/** A text, or text parts as one. */
export function plainText(content: unknown, path: string, fields: FieldReader): string {
  if (typeof content === 'string') return content;
  return (fields.list(content, path) ?? [])
    .map((part, index) => {
      if (isObject(part) && part.type === 'text' && typeof part.text === 'string') return part.text;
      fields.refuse(join(path, index), 'must be a text part');
      return '';
    })
    .join('');
}

function userParts(
  content: unknown,
  path: string,
  fields: FieldReader,
): (LanguageModelV4TextPart | LanguageModelV4FilePart)[] {
  if (typeof content === 'string') return [{ type: 'text', text: content }];
  const parts = fields.list(content, path);
  if (!parts) return refused(fields, path, 'must be a text or a list of parts');
  return parts.flatMap((given, index): (LanguageModelV4TextPart | LanguageModelV4FilePart)[] => {
    const at = join(path, index);
    const part = fields.object(given, at);
    if (!part) return [];
    if (part.type === 'text') return [textPart(part, at, fields)];
    const file = readChatFile(part, at, fields);
    return file ? [file] : [];
  });
}

/** `cache_control` is no member of OpenAI's, but what clients of gateways mark a prompt's fixed part with. */
function textPart(part: JsonObject, path: string, fields: FieldReader): LanguageModelV4TextPart {
  fields.only(part, ['type', 'text', 'cache_control'], path);
  const text = fields.text(part.text, join(path, 'text')) ?? '';
  return { type: 'text', text, ...cacheHint(part) };
}

/** Other providers have caches of their own, which take no hints; the hint says nothing about the answer. */
export function cacheHint(part: JsonObject): Pick<LanguageModelV4TextPart, 'providerOptions'> {
  if (!isObject(part.cache_control)) return {};
  const { ttl } = part.cache_control;
  const cacheControl = { type: 'ephemeral' as const, ...(ttl === '1h' || ttl === '5m' ? { ttl } : {}) };
  const cachePoint = { type: 'default' as const, ...(ttl === '1h' || ttl === '5m' ? { ttl } : {}) };
  return { providerOptions: { anthropic: { cacheControl }, amazonBedrock: { cachePoint } } };
}

function toolResult(
  message: JsonObject,
  path: string,
  toolNames: ReadonlyMap<string, string>,
  fields: FieldReader,
): LanguageModelV4ToolResultPart {
  fields.only(message, ['role', 'content', 'tool_call_id', 'name'], path);
  const toolCallId = fields.text(message.tool_call_id, join(path, 'tool_call_id')) ?? '';
  const toolName = toolNames.get(toolCallId);
  if (toolName === undefined) {
    fields.refuse(
      join(path, 'tool_call_id'),
      'must be the id of a tool call in an earlier assistant message',
    );
  }
  const output = toolOutput(message.content, join(path, 'content'), fields);
  return { type: 'tool-result', toolCallId, toolName: toolName ?? '', output };
}

function toolOutput(content: unknown, path: string, fields: FieldReader): LanguageModelV4ToolResultOutput {
  if (typeof content === 'string') return { type: 'text', value: content };
  const parts = userParts(content, path, fields);
  if (parts.every((part) => part.type === 'text')) {
    return { type: 'text', value: parts.map((part) => part.text).join('') };
  }
  return { type: 'content', value: parts };
}

function addToolResult(prompt: LanguageModelV4Prompt, result: LanguageModelV4ToolResultPart): void {
  const last = prompt.at(-1);
  if (last?.role === 'tool') last.content.push(result);
  else prompt.push({ role: 'tool', content: [result] } satisfies Message<'tool'>);
}

function refused(fields: FieldReader, path: string, message: string): [] {
  fields.refuse(path, message);
  return [];
}
