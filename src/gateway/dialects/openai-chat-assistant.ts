import type { LanguageModelV4Message } from '@ai-sdk/provider';
import type { JsonObject } from '../json-object.ts';
import { absent, type FieldReader, isObject, join } from '../translation/field-reader.ts';
import { thoughtMetadata } from '../translation/reasoning-carriers.ts';

type AssistantMessage = Extract<LanguageModelV4Message, { role: 'assistant' }>;
type AssistantPart = AssistantMessage['content'][number];

const knownMembers = [
  'role',
  'content',
  'refusal',
  'tool_calls',
  'reasoning_details',
  'extra_content',
  // Thoughts that nobody signed are no part of the conversation for any provider.
  'reasoning_content',
  'reasoning',
  // Where an earlier answer had its facts from, told to the caller.
  'annotations',
];

/** @param toolNames learns the calls' ids. */
export function readAssistantMessage(
  message: JsonObject,
  path: string,
  toolNames: Map<string, string>,
  fields: FieldReader,
): AssistantMessage {
  fields.only(message, knownMembers, path);
  return {
    role: 'assistant',
    content: [
      ...thoughts(message.reasoning_details, join(path, 'reasoning_details'), fields),
      ...texts(message, path, fields),
      ...toolCalls(message.tool_calls, join(path, 'tool_calls'), toolNames, fields),
    ],
  };
}

function texts(message: JsonObject, path: string, fields: FieldReader): AssistantPart[] {
  const { content, refusal } = message;
  const options = signatureOf(message);
  const spoken = fields.text(refusal, join(path, 'refusal'));
  const given = typeof content === 'string' ? [{ type: 'text', text: content }] : content;
  const parts = (fields.list(given, join(path, 'content')) ?? []).flatMap((part, index): AssistantPart[] => {
    const text = isObject(part) ? (part.type === 'refusal' ? part.refusal : part.text) : undefined;
    if (typeof text !== 'string') {
      fields.refuse(join(join(path, 'content'), index), 'must be a text or refusal part');
      return [];
    }
    return text === '' && !options.providerOptions ? [] : [{ type: 'text', text, ...options }];
  });
  return spoken ? [...parts, { type: 'text', text: spoken }] : parts;
}

function toolCalls(
  given: unknown,
  path: string,
  toolNames: Map<string, string>,
  fields: FieldReader,
): AssistantPart[] {
  return (fields.list(given, path) ?? []).flatMap((item, index): AssistantPart[] => {
    const at = join(path, index);
    const call = fields.object(item, at);
    if (!call) return [];
    fields.only(call, ['id', 'type', 'function', 'extra_content', 'index'], at);
    const called = fields.object(call.function, join(at, 'function'));
    const toolCallId = fields.text(call.id, join(at, 'id'));
    const toolName = fields.text(called?.name, join(at, 'function.name'));
    if (toolCallId === undefined || toolName === undefined) {
      fields.refuse(at, 'must be a function call with its id and name');
      return [];
    }
    toolNames.set(toolCallId, toolName);
    const input = argumentsOf(called?.arguments, join(at, 'function.arguments'), fields);
    return [{ type: 'tool-call', toolCallId, toolName, input, ...signatureOf(call) }];
  });
}

function argumentsOf(given: unknown, path: string, fields: FieldReader): unknown {
  if (absent(given) || given === '') return {};
  try {
    const parsed: unknown = typeof given === 'string' ? JSON.parse(given) : given;
    if (isObject(parsed)) return parsed;
  } catch {
    // Said below.
  }
  fields.refuse(path, 'must be a JSON object as text');
  return {};
}

/** Thoughts with their signatures, as `openai-chat-reply.ts` writes them; others are left out. */
function thoughts(given: unknown, path: string, fields: FieldReader): AssistantPart[] {
  return (fields.list(given, path) ?? []).flatMap((item): AssistantPart[] => {
    if (!isObject(item) || typeof item.format !== 'string') return [];
    const { format, text, signature, data } = item;
    const providerOptions = thoughtMetadata({
      format,
      ...(typeof signature === 'string' ? { signature } : {}),
      ...(typeof data === 'string' ? { encrypted: data } : {}),
    });
    const read = typeof text === 'string' ? text : '';
    return providerOptions ? [{ type: 'reasoning', text: read, providerOptions }] : [];
  });
}

/** Gemini signs texts and tool calls, too; Google's own OpenAI API carries it in the same place. */
function signatureOf({ extra_content: extra }: JsonObject): Pick<AssistantPart, 'providerOptions'> {
  const google = isObject(extra) && isObject(extra.google) ? extra.google : {};
  const { thought_signature: thoughtSignature } = google;
  return typeof thoughtSignature === 'string' ? { providerOptions: { google: { thoughtSignature } } } : {};
}
