import type { Turn } from '../answers.ts';
import type { PromptTokens } from '../model-call.ts';
import { invalidRequest } from '../provider-error.ts';
import { requiredList, requiredRecord, requiredText } from '../read-json.ts';
import { countTokens } from '../tokens.ts';

/** One item of a response's input or of an earlier response's output. */
export interface InputItem {
  readonly turn: Turn | undefined;
  readonly tokens: number;
  readonly images: number;
  /** The id of the call that a function call makes. */
  readonly calls?: string;
  /** The id of the call that an output answers. */
  readonly answers?: string;
}

/** One low-detail tile, as with chat completions. */
const tokensPerImage = 85;
const tokensPerItem = 3;
const roles = new Set(['user', 'assistant', 'system', 'developer']);

/** Reads `input`: a text, or a list of items. Throws ProviderError naming the one that is not right. */
export function readInput(input: unknown): InputItem[] {
  if (typeof input === 'string') return [messageItem('user', input, 'input')];
  return requiredList(input, 'input').map((item, index) => readItem(item, `input[${index}]`));
}

function readItem(given: unknown, param: string): InputItem {
  const item = requiredRecord(given, param);
  switch (item.type ?? 'message') {
    case 'message':
      return messageItem(requiredText(item.role, `${param}.role`), item.content, `${param}.content`);
    case 'function_call': {
      const calls = requiredText(item.call_id, `${param}.call_id`);
      const text = requiredText(item.arguments, `${param}.arguments`);
      const name = requiredText(item.name, `${param}.name`);
      const tokens = tokensPerItem + countTokens(name) + countTokens(text);
      return { turn: { role: 'assistant', text: '' }, tokens, images: 0, calls };
    }
    case 'function_call_output': {
      const answers = requiredText(item.call_id, `${param}.call_id`);
      const { text, tokens, images } = contentOf(item.output, `${param}.output`);
      return { turn: { role: 'tool', text }, tokens: tokensPerItem + tokens, images, answers };
    }
    case 'reasoning':
    case 'item_reference':
      return { turn: undefined, tokens: 0, images: 0 };
    default:
      throw invalidRequest(`Invalid value: '${item.type}'.`, `${param}.type`);
  }
}

function messageItem(role: string, content: unknown, param: string): InputItem {
  if (!roles.has(role)) throw invalidRequest(`Invalid value: '${role}'.`, param.replace(/content$/u, 'role'));
  const { text, tokens, images } = contentOf(content, param);
  const turnRole = role === 'developer' ? 'system' : (role as 'user' | 'assistant' | 'system');
  return { turn: { role: turnRole, text }, tokens: tokensPerItem + countTokens(role) + tokens, images };
}

function contentOf(content: unknown, param: string): { text: string; tokens: number; images: number } {
  if (typeof content === 'string') return { text: content, tokens: countTokens(content), images: 0 };
  let tokens = 0;
  let images = 0;
  const texts: string[] = [];
  requiredList(content, param).forEach((given, index) => {
    const part = requiredRecord(given, `${param}[${index}]`);
    if (part.type === 'input_text' || part.type === 'output_text') {
      const text = requiredText(part.text, `${param}[${index}].text`);
      texts.push(text);
      tokens += countTokens(text);
    } else if (part.type === 'input_image') {
      images += 1;
      tokens += tokensPerImage;
    } else if (part.type === 'input_file' || part.type === 'refusal') {
      tokens += countTokens(JSON.stringify(part));
    } else throw invalidRequest(`Invalid value: '${part.type}'.`, `${param}[${index}].type`);
  });
  return { text: texts.join('\n'), tokens, images };
}

/** Every output answers a call before it, and every call before the end has its output. */
export function checkCallPairs(items: readonly InputItem[]): void {
  const called = new Set(items.flatMap(({ calls }) => calls ?? []));
  const answered = new Set(items.flatMap(({ answers }) => answers ?? []));
  const unasked = [...answered].find((id) => !called.has(id));
  if (unasked !== undefined) {
    throw invalidRequest(`No tool call found for function call output with call_id ${unasked}.`, 'input');
  }
  const open = [...called].find((id) => !answered.has(id));
  if (open !== undefined) throw invalidRequest(`No tool output found for function call ${open}.`, 'input');
}

/** What items count, together with what else stands in the prompt. */
export function promptOf(items: readonly InputItem[], otherTokens: number): PromptTokens {
  const images = items.reduce((total, item) => total + item.images, 0);
  const all = items.reduce((total, item) => total + item.tokens, otherTokens);
  return { all, image: images * tokensPerImage, audio: 0, images };
}
