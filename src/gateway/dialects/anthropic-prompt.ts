import type {
  LanguageModelV4Message,
  LanguageModelV4Prompt,
  LanguageModelV4ToolResultPart,
  SharedV4ProviderOptions,
} from '@ai-sdk/provider';
import type { JsonObject } from '../json-object.ts';
import { type FieldReader, isObject, join } from '../translation/field-reader.ts';
import { readUserBlock, textBlock, type UserPart } from './anthropic-files.ts';
import { readThought } from './anthropic-thoughts.ts';
import { cacheHint } from './openai-chat-prompt.ts';

type AssistantMessage = Extract<LanguageModelV4Message, { role: 'assistant' }>;
type AssistantPart = AssistantMessage['content'][number];

/** System and messages (https://platform.claude.com/docs/en/api/messages) in the neutral form. */
export function readAnthropicPrompt(request: JsonObject, fields: FieldReader): LanguageModelV4Prompt {
  const prompt: LanguageModelV4Prompt = readSystem(request.system, 'system', fields);
  /** Names of the tools by the ids of their calls: the result of a call only has its id. */
  const toolNames = new Map<string, string>();
  (fields.list(request.messages, 'messages') ?? []).forEach((given, index) => {
    const path = join('messages', index);
    const message = fields.object(given, path);
    if (!message) return;
    fields.only(message, ['role', 'content'], path);
    const at = join(path, 'content');
    switch (message.role) {
      case 'user':
        prompt.push(...readUser(blocksOf(message.content, at, fields), at, toolNames, fields));
        break;
      case 'assistant': {
        const content = readAssistant(blocksOf(message.content, at, fields), at, toolNames, fields);
        prompt.push({ role: 'assistant', content });
        break;
      }
      case 'system':
        prompt.push(...readSystem(message.content, at, fields));
        break;
      default:
        fields.refuse(join(path, 'role'), 'must be user, assistant or system');
    }
  });
  return prompt;
}

/**
 * One message for as much as can be one: many servers take a single one only. A mark for the provider's cache ends a
 * message, so that what follows it may change without costing what was kept.
 */
function readSystem(content: unknown, path: string, fields: FieldReader): LanguageModelV4Prompt {
  const parts = blocksOf(content, path, fields).map((block, index) => {
    if (block.type !== 'text') fields.refuse(join(path, index), 'must be a text block');
    return textBlock(block, join(path, index), fields);
  });
  const marked = parts.findLastIndex((part) => part.providerOptions !== undefined);
  return [parts.slice(0, marked + 1), parts.slice(marked + 1)]
    .filter((run) => run.length > 0)
    .map((run) => {
      const { providerOptions } = run.at(-1) ?? {};
      const text = run.map((part) => part.text).join('\n\n');
      return { role: 'system', content: text, ...(providerOptions ? { providerOptions } : {}) };
    });
}

/** Results of tools come first, as providers want them; files that came with them follow in the user's own message. */
function readUser(
  blocks: readonly JsonObject[],
  path: string,
  toolNames: ReadonlyMap<string, string>,
  fields: FieldReader,
): LanguageModelV4Prompt {
  const results: LanguageModelV4ToolResultPart[] = [];
  const said: UserPart[] = [];
  blocks.forEach((block, index) => {
    const at = join(path, index);
    if (block.type !== 'tool_result') {
      said.push(...readUserBlock(block, at, fields));
      return;
    }
    const { result, files } = readToolResult(block, at, toolNames, fields);
    results.push(result);
    said.push(...files);
  });
  const prompt: LanguageModelV4Prompt = [];
  if (results.length > 0) prompt.push({ role: 'tool', content: results });
  if (said.length > 0 || results.length === 0) prompt.push({ role: 'user', content: said });
  return prompt;
}

/**
 * Few providers take a picture as the result of a tool, and their packages write it out as text; all take it from the
 * user. So a result is its texts, and its files follow under the name of the call.
 */
function readToolResult(
  block: JsonObject,
  path: string,
  toolNames: ReadonlyMap<string, string>,
  fields: FieldReader,
): { result: LanguageModelV4ToolResultPart; files: UserPart[] } {
  fields.only(block, ['type', 'tool_use_id', 'content', 'is_error', 'cache_control'], path);
  const toolCallId = fields.text(block.tool_use_id, join(path, 'tool_use_id')) ?? '';
  const toolName = toolNames.get(toolCallId) ?? '';
  if (toolName === '') {
    fields.refuse(join(path, 'tool_use_id'), 'must be the id of a tool_use in an earlier assistant message');
  }
  const at = join(path, 'content');
  const parts = blocksOf(block.content, at, fields).flatMap((part, index) =>
    readUserBlock(part, join(at, index), fields),
  );
  const files = parts.filter((part) => part.type === 'file');
  const texts = parts.flatMap((part) => (part.type === 'text' ? [part.text] : []));
  const note = `Files that the tool "${toolName}" gave for the call ${toolCallId}:`;
  const value = texts.length > 0 || files.length === 0 ? texts.join('\n') : 'See the files that follow.';
  const isError = fields.flag(block.is_error, join(path, 'is_error')) === true;
  const output = { type: isError ? ('error-text' as const) : ('text' as const), value };
  return {
    result: { type: 'tool-result', toolCallId, toolName, output, ...cacheHint(block) },
    files: files.length === 0 ? [] : [{ type: 'text', text: note }, ...files],
  };
}

function readAssistant(
  blocks: readonly JsonObject[],
  path: string,
  toolNames: Map<string, string>,
  fields: FieldReader,
): AssistantPart[] {
  /** A signature that belongs to the tool's call that comes next. */
  let signature: SharedV4ProviderOptions | undefined;
  return blocks.flatMap((block, index): AssistantPart[] => {
    const at = join(path, index);
    switch (block.type) {
      case 'text': {
        const part = textBlock(block, at, fields);
        return part.text === '' ? [] : [part];
      }
      case 'thinking':
      case 'redacted_thinking': {
        const read = readThoughtBlock(block, at, fields);
        if (read.kind === 'of-next-call') signature = read.providerOptions;
        return read.kind === 'thought' ? [read.part] : [];
      }
      case 'tool_use': {
        const part = readToolUse(block, at, toolNames, fields);
        const providerOptions = { ...part.providerOptions, ...signature };
        signature = undefined;
        return [Object.keys(providerOptions).length > 0 ? { ...part, providerOptions } : part];
      }
      default:
        fields.refuse(join(at, 'type'), `"${String(block.type)}" cannot be carried`);
        return [];
    }
  });
}

function readThoughtBlock(block: JsonObject, path: string, fields: FieldReader) {
  if (block.type === 'redacted_thinking') {
    fields.only(block, ['type', 'data'], path);
    return readThought('', fields.text(block.data, join(path, 'data')) ?? '', true);
  }
  fields.only(block, ['type', 'thinking', 'signature'], path);
  const text = fields.text(block.thinking, join(path, 'thinking')) ?? '';
  return readThought(text, fields.text(block.signature, join(path, 'signature')) ?? '', false);
}

function readToolUse(
  block: JsonObject,
  path: string,
  toolNames: Map<string, string>,
  fields: FieldReader,
): Extract<AssistantPart, { type: 'tool-call' }> {
  fields.only(block, ['type', 'id', 'name', 'input', 'caller', 'cache_control'], path);
  if (isObject(block.caller) && block.caller.type !== 'direct') {
    fields.refuse(join(path, 'caller'), 'cannot be carried');
  }
  const toolCallId = fields.text(block.id, join(path, 'id')) ?? '';
  const toolName = fields.text(block.name, join(path, 'name')) ?? '';
  if (toolCallId === '' || toolName === '') fields.refuse(path, 'must have an id and a name');
  toolNames.set(toolCallId, toolName);
  const input = fields.object(block.input, join(path, 'input')) ?? {};
  return { type: 'tool-call', toolCallId, toolName, input, ...cacheHint(block) };
}

/** A text is one block. */
function blocksOf(content: unknown, path: string, fields: FieldReader): JsonObject[] {
  if (typeof content === 'string') return content === '' ? [] : [{ type: 'text', text: content }];
  return (fields.list(content, path) ?? []).flatMap((item, index) => {
    const block = fields.object(item, join(path, index));
    return block ? [block] : [];
  });
}
