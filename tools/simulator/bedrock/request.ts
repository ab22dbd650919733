import type { Tool, Turn } from '../answers.ts';
import type { JsonSchema } from '../json-samples.ts';
import type { ModelCall } from '../model-call.ts';
import type { PromptPart } from '../prompt-cache.ts';
import { invalidRequest } from '../provider-error.ts';
import {
  optionalInteger,
  optionalList,
  optionalRecord,
  requiredList,
  requiredRecord,
  requiredText,
  stopTexts,
} from '../read-json.ts';
import { countTokens } from '../tokens.ts';
import { type ConverseBlock, partsOf, readBlocks } from './content.ts';

/** What the simulator reads from the body of `/converse` and `/converse-stream`. */
export interface ConverseRequest extends ModelCall {
  readonly promptParts: readonly PromptPart[];
  /** Paths of the model's own response that the caller wants to see. */
  readonly responsePaths: readonly unknown[];
}

interface Message {
  readonly role: 'user' | 'assistant';
  readonly blocks: readonly ConverseBlock[];
}

const tokensPerMessage = 3;
const maxStops = 2_500;

/** Reads a request. Throws ProviderError naming the field. */
export function parseConverseRequest(
  body: Record<string, unknown>,
  model: string,
  stream: boolean,
): ConverseRequest {
  const messages = readMessages(body.messages);
  const toolConfig = optionalRecord(body.toolConfig, 'toolConfig');
  checkToolPairs(messages, toolConfig !== undefined);
  const system = body.system === undefined ? [] : readBlocks(body.system, 'system');
  const config = optionalRecord(body.inferenceConfig, 'inferenceConfig') ?? {};
  const extra = optionalRecord(body.additionalModelRequestFields, 'additionalModelRequestFields') ?? {};
  const tools = readTools(toolConfig?.tools);
  const said = system.filter(({ keepFor }) => keepFor === undefined);
  const turns: Turn[] = [
    ...said.map(({ text }) => ({ role: 'system' as const, text })),
    ...messages.map(turnOf),
  ];
  const blocks = [
    ...toolBlocks(toolConfig?.tools),
    ...system,
    ...messages.flatMap((message) => message.blocks),
  ];
  const total = (of: (block: ConverseBlock) => number) => blocks.reduce((sum, block) => sum + of(block), 0);
  const thinking = optionalRecord(extra.thinking ?? extra.reasoning_config, 'thinking');
  const thinks = thinking?.type === 'enabled' || thinking?.type === 'adaptive';
  return {
    model,
    turns,
    stream,
    maxTokens: optionalInteger(config.maxTokens, 'inferenceConfig.maxTokens', 1),
    stop: stopTexts(config.stopSequences, 'inferenceConfig.stopSequences', maxStops),
    tools,
    callTool: chooseTool(tools, toolConfig?.toolChoice, turns),
    jsonSchema: readFormat(body.outputConfig, extra),
    thinkingBudget: thinks
      ? (optionalInteger(thinking.budget_tokens, 'thinking.budget_tokens', 1_024) ?? Number.POSITIVE_INFINITY)
      : 0,
    tellThoughts: thinks,
    prompt: {
      all: messages.length * tokensPerMessage + total(({ tokens }) => tokens),
      image: total(({ imageTokens }) => imageTokens),
      audio: 0,
      images: total(({ images }) => images),
    },
    toolResults: blocks.flatMap(({ answers }) => answers ?? []),
    promptParts: partsOf(blocks),
    responsePaths: optionalList(body.additionalModelResponseFieldPaths, 'additionalModelResponseFieldPaths'),
  };
}

function readMessages(given: unknown): Message[] {
  const messages = requiredList(given, 'messages').map((item, index) => {
    const { role, content } = requiredRecord(item, `messages.${index}`);
    if (role !== 'user' && role !== 'assistant') {
      throw invalidRequest(`messages.${index}.role must be user or assistant.`, `messages.${index}.role`);
    }
    const blocks = readBlocks(content, `messages.${index}.content`);
    if (blocks.length === 0) {
      const told = `The content field in the Message object at messages.${index} is empty.`;
      throw invalidRequest(told, `messages.${index}.content`);
    }
    return { role, blocks } as const;
  });
  if (messages[0]?.role !== 'user') {
    throw invalidRequest('A conversation must start with a user message.', 'messages');
  }
  return messages;
}

function checkToolPairs(messages: readonly Message[], hasTools: boolean): void {
  messages.forEach(({ blocks }, index) => {
    const uses = messages[index - 1]?.blocks.flatMap((block) => block.uses ?? []) ?? [];
    const answers = blocks.flatMap((block) => block.answers ?? []);
    const field = `messages.${index}.content`;
    const unasked = answers.find((id) => !uses.includes(id));
    if (unasked !== undefined) {
      const told = `The toolResult at ${field} with the id ${unasked} answers no toolUse of the previous turn.`;
      throw invalidRequest(told, field);
    }
    const open = uses.filter((id) => !answers.includes(id));
    if (open.length > 0) {
      throw invalidRequest(
        `Expected toolResult blocks at ${field} for the following Ids: ${open.join(', ')}`,
        field,
      );
    }
    if (!hasTools && (uses.length > 0 || answers.length > 0)) {
      const told = 'The toolConfig field must be defined when using toolUse and toolResult content blocks.';
      throw invalidRequest(told, 'toolConfig');
    }
  });
}

/** A user's message that brings tool results is the tools' turn. */
function turnOf({ role, blocks }: Message): Turn {
  const results = blocks.filter(({ answers }) => answers !== undefined);
  const spoken = results.length > 0 ? results : blocks.filter(({ uses }) => uses === undefined);
  const text = spoken
    .map((block) => block.text)
    .filter((said) => said !== '')
    .join('\n');
  return { role: results.length > 0 ? 'tool' : role, text };
}

function readTools(given: unknown): Tool[] {
  return optionalList(given, 'toolConfig.tools').flatMap((item, index) => {
    const param = `toolConfig.tools.${index}`;
    const spec = optionalRecord(requiredRecord(item, param).toolSpec, `${param}.toolSpec`);
    if (!spec) return [];
    const schema = requiredRecord(spec.inputSchema, `${param}.toolSpec.inputSchema`);
    return [
      {
        name: requiredText(spec.name, `${param}.toolSpec.name`),
        parameters: requiredRecord(schema.json, `${param}.toolSpec.inputSchema.json`),
      },
    ];
  });
}

/** Tools stand first in what is cached. */
function toolBlocks(given: unknown): ConverseBlock[] {
  return optionalList(given, 'toolConfig.tools').flatMap((item, index) => {
    const tool = requiredRecord(item, `toolConfig.tools.${index}`);
    if (tool.cachePoint !== undefined) return readBlocks([tool], 'toolConfig.tools');
    const content = JSON.stringify(tool);
    return [{ text: '', tokens: countTokens(content), imageTokens: 0, images: 0, content }];
  });
}

/** The first tool right after a user's message, or always with `any`; the named one with `tool`. */
function chooseTool(tools: readonly Tool[], given: unknown, turns: readonly Turn[]): Tool | undefined {
  const choice = optionalRecord(given, 'toolConfig.toolChoice');
  const asked = optionalRecord(choice?.tool, 'toolConfig.toolChoice.tool');
  if (asked) {
    const named = tools.find(({ name }) => name === asked.name);
    if (!named) throw invalidRequest(`The toolChoice names no tool of toolConfig.`, 'toolConfig.toolChoice');
    return named;
  }
  return turns.at(-1)?.role === 'user' || choice?.any !== undefined ? tools[0] : undefined;
}

/** The API's own text format, or that of an Anthropic model in its additional fields. */
function readFormat(given: unknown, extra: Record<string, unknown>): JsonSchema | undefined {
  const format = optionalRecord(optionalRecord(given, 'outputConfig')?.textFormat, 'outputConfig.textFormat');
  const structure = optionalRecord(format?.structure, 'outputConfig.textFormat.structure');
  const holder = optionalRecord(structure?.jsonSchema, 'outputConfig.textFormat.structure.jsonSchema');
  if (typeof holder?.schema === 'string') return JSON.parse(holder.schema) as JsonSchema;
  const own = optionalRecord(
    optionalRecord(extra.output_config, 'output_config')?.format,
    'output_config.format',
  );
  return own?.type === 'json_schema' ? requiredRecord(own.schema, 'output_config.format.schema') : undefined;
}
