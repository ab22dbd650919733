import type {
  LanguageModelV4FilePart,
  LanguageModelV4Message,
  LanguageModelV4Prompt,
  LanguageModelV4ReasoningPart,
  LanguageModelV4TextPart,
  LanguageModelV4ToolCallPart,
  LanguageModelV4ToolResultOutput,
  SharedV4ProviderMetadata,
} from '@ai-sdk/provider';
import type { JsonObject } from '../json-object.ts';
import { absent, type FieldReader, isObject, join } from '../translation/field-reader.ts';
import { recordOf } from '../usage/token-counts.ts';
import { readParts, readText } from './openai-responses-parts.ts';
import { unseal } from './openai-responses-seal.ts';

type AssistantPart =
  | LanguageModelV4TextPart
  | LanguageModelV4FilePart
  | LanguageModelV4ReasoningPart
  | LanguageModelV4ToolCallPart;

/**
 * Reads `instructions` and `input` of a request (https://platform.openai.com/docs/api-reference/responses/create).
 * There, a conversation is a list of items; here, it is one of messages, so what a model said in one turn (reasoning,
 * text, calls) is gathered into one message, and the outputs of its calls into the next.
 */
export function readInput({ instructions, input }: JsonObject, fields: FieldReader): LanguageModelV4Prompt {
  const reader = new InputReader(fields);
  const system = fields.text(instructions, 'instructions');
  if (system !== undefined) reader.prompt.push({ role: 'system', content: system });
  if (typeof input === 'string')
    reader.prompt.push({ role: 'user', content: [{ type: 'text', text: input }] });
  else if (absent(input)) fields.refuse('input', 'must be a text or a list of items');
  else reader.items(fields.list(input, 'input') ?? []);
  return reader.prompt;
}

class InputReader {
  readonly prompt: LanguageModelV4Message[] = [];
  readonly #fields: FieldReader;
  /** Names of the tools by the ids of their calls: the output of a call only has its id. */
  readonly #names = new Map<string, string>();
  readonly #signatures = new Map<string, SharedV4ProviderMetadata>();

  constructor(fields: FieldReader) {
    this.#fields = fields;
  }

  items(items: readonly unknown[]): void {
    // Signatures of calls may stand before or behind the calls.
    for (const item of items) {
      const { type, encrypted_content: encrypted } = recordOf(item);
      const calls = type === 'reasoning' ? unseal(encrypted)?.calls : undefined;
      for (const [id, metadata] of calls ?? []) this.#signatures.set(id, metadata);
    }
    items.forEach((given, index) => {
      const item = this.#fields.object(given, join('input', index));
      if (item) this.#item(item, join('input', index));
    });
  }

  /** `id` and `status` tell what became of an item in OpenAI's keeping, and `phase` is for its own models. */
  #item(item: JsonObject, path: string): void {
    const only = (...known: string[]) => this.#fields.only(item, ['type', 'id', 'status', ...known], path);
    switch (item.type) {
      case undefined:
      case 'message':
        only('role', 'content', 'phase');
        this.#message(item, path);
        return;
      case 'reasoning':
        only('summary', 'content', 'encrypted_content');
        this.#reasoning(item, path);
        return;
      case 'function_call':
        // `parsed_arguments` is what the official client's helpers add.
        only('call_id', 'name', 'arguments', 'parsed_arguments');
        this.#call(item, path, this.#arguments(item, path));
        return;
      case 'custom_tool_call':
        only('call_id', 'name', 'input');
        this.#call(item, path, { input: this.#fields.text(item.input, join(path, 'input')) ?? '' });
        return;
      case 'function_call_output':
      case 'custom_tool_call_output':
        only('call_id', 'output');
        this.#output(item, path);
        return;
      case 'image_generation_call':
        only('result');
        this.#madeImage(item, path);
        return;
      case 'item_reference':
        this.#fields.refuse(path, 'names an item that OpenAI keeps; send the item itself');
        return;
      default:
        this.#fields.refuse(join(path, 'type'), `cannot be carried: ${JSON.stringify(item.type)}`);
        return;
    }
  }

  #message({ role, content: given }: JsonObject, path: string): void {
    const content = join(path, 'content');
    switch (role) {
      case 'user':
        this.prompt.push({ role: 'user', content: readParts(given, content, this.#fields) });
        return;
      case 'system':
      case 'developer':
        this.prompt.push({ role: 'system', content: readText(given, content, this.#fields) });
        return;
      case 'assistant':
        readParts(given, content, this.#fields).forEach((part, index) => {
          if (part.type === 'text') this.#assistant(part);
          else this.#fields.refuse(join(content, index), 'must be a text');
        });
        return;
      default:
        this.#fields.refuse(join(path, 'role'), 'must be user, assistant, system or developer');
    }
  }

  /**
   * Only reasoning that came through a translation has what its provider wants back. Other reasoning (OpenAI's own, or
   * what a client made up) is left out: nobody but its maker can read it, and it is no part of what was said.
   */
  #reasoning({ summary, encrypted_content: encrypted }: JsonObject, path: string): void {
    const providerOptions = unseal(encrypted)?.reasoning;
    if (providerOptions === undefined) return;
    const parts = this.#fields.list(summary, join(path, 'summary')) ?? [];
    const text = parts.map((part) => String(recordOf(part).text ?? '')).join('');
    this.#assistant({ type: 'reasoning', text, providerOptions });
  }

  #call(item: JsonObject, path: string, input: unknown): void {
    const toolCallId = this.#fields.text(item.call_id, join(path, 'call_id'));
    const toolName = this.#fields.text(item.name, join(path, 'name'));
    if (toolCallId === undefined || toolName === undefined) {
      this.#fields.refuse(path, 'must have a call_id and a name');
      return;
    }
    this.#names.set(toolCallId, toolName);
    const providerOptions = this.#signatures.get(toolCallId);
    this.#assistant({
      type: 'tool-call',
      toolCallId,
      toolName,
      input,
      ...(providerOptions ? { providerOptions } : {}),
    });
  }

  /** A call without arguments is written as no text at all by some models. */
  #arguments({ arguments: given }: JsonObject, path: string): unknown {
    if (given === '') return {};
    try {
      const parsed: unknown = typeof given === 'string' ? JSON.parse(given) : null;
      if (isObject(parsed)) return parsed;
    } catch {
      // Said below.
    }
    this.#fields.refuse(join(path, 'arguments'), 'must be a JSON object as text');
    return {};
  }

  #output(item: JsonObject, path: string): void {
    const { call_id: toolCallId } = item;
    const toolName = typeof toolCallId === 'string' ? this.#names.get(toolCallId) : undefined;
    if (typeof toolCallId !== 'string' || toolName === undefined) {
      this.#fields.refuse(join(path, 'call_id'), 'must be that of a call that stands before it in the input');
      return;
    }
    const output = readOutput(item.output, join(path, 'output'), this.#fields);
    const result = { type: 'tool-result' as const, toolCallId, toolName, output };
    const last = this.prompt.at(-1);
    if (last?.role === 'tool') last.content.push(result);
    else this.prompt.push({ role: 'tool', content: [result] });
  }

  #madeImage({ result }: JsonObject, path: string): void {
    const data = this.#fields.text(result, join(path, 'result'));
    if (data === undefined) return;
    this.#assistant({ type: 'file', mediaType: 'image/png', data: { type: 'data', data } });
  }

  #assistant(part: AssistantPart): void {
    const last = this.prompt.at(-1);
    if (last?.role === 'assistant') last.content.push(part);
    else this.prompt.push({ role: 'assistant', content: [part] });
  }
}

/** Every provider takes a text; parts of other kinds only some. */
function readOutput(given: unknown, path: string, fields: FieldReader): LanguageModelV4ToolResultOutput {
  const value = readParts(given, path, fields);
  const texts = value.flatMap((part) => (part.type === 'text' ? [part.text] : []));
  return texts.length === value.length
    ? { type: 'text', value: texts.join('\n') }
    : { type: 'content', value };
}
