import type { Tool, Turn } from '../answers.ts';
import type { JsonSchema } from '../json-samples.ts';
import type { ModelCall } from '../model-call.ts';
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
import { type GeminiPart, noTokens, readParts, totalOf } from './parts.ts';
import { jsonSchemaOf } from './schema.ts';

const maxStops = 5;

interface Content {
  readonly role: string;
  readonly parts: readonly GeminiPart[];
}

/** Reads the body of `:generateContent` and `:streamGenerateContent`. Throws ProviderError naming the field. */
export function parseGenerateRequest(
  body: Record<string, unknown>,
  model: string,
  stream: boolean,
): ModelCall {
  const contents = readContents(body.contents);
  checkSignatures(contents, model);
  const system = readSystem(body.systemInstruction ?? body.system_instruction);
  const config = optionalRecord(body.generationConfig ?? body.generation_config, 'generationConfig') ?? {};
  const tools = readTools(body.tools);
  const turns = [
    ...system.map((part) => ({ role: 'system' as const, text: part.text })),
    ...contents.map(turnOf),
  ];
  const parts = [...system, ...contents.flatMap((content) => content.parts)];
  const counted = parts.reduce((total, part) => totalOf(total, part.tokens), noTokens);
  const toolTokens = body.tools === undefined ? 0 : countTokens(JSON.stringify(body.tools));
  return {
    model,
    turns,
    stream,
    maxTokens: optionalInteger(config.maxOutputTokens, 'generationConfig.maxOutputTokens', 1),
    stop: stopTexts(config.stopSequences, 'generationConfig.stopSequences', maxStops),
    tools,
    callTool: chooseTool(tools, body.toolConfig ?? body.tool_config, turns),
    jsonSchema: readSchema(config),
    ...readThinking(config.thinkingConfig, model),
    prompt: {
      ...counted,
      all: counted.all + toolTokens,
      images: parts.filter(({ isImage }) => isImage).length,
    },
    toolResults: parts.flatMap(({ respondsTo }) => respondsTo ?? []),
  };
}

function readContents(given: unknown): Content[] {
  const list = Array.isArray(given) ? given : given === undefined ? [] : [given];
  if (list.length === 0)
    throw invalidRequest('* GenerateContentRequest.contents: contents is not specified', 'contents');
  return list.map((item: unknown, index) => {
    const { role = 'user', parts } = requiredRecord(item, `contents[${index}]`);
    if (role !== 'user' && role !== 'model' && role !== 'function') {
      throw invalidRequest('Please use a valid role: user, model.', `contents[${index}].role`);
    }
    return {
      role,
      parts: readParts(requiredList(parts, `contents[${index}].parts`), `contents[${index}].parts`),
    };
  });
}

function readSystem(given: unknown): GeminiPart[] {
  const content = optionalRecord(given, 'systemInstruction');
  if (!content) return [];
  const parts = Array.isArray(content.parts) ? content.parts : [content.parts];
  return readParts(parts, 'systemInstruction.parts');
}

/** Gemini 3 wants each function call of the running turn back with the signature it came with. */
function checkSignatures(contents: readonly Content[], model: string): void {
  if (!model.startsWith('gemini-3')) return;
  const lastQuestion = contents.findLastIndex(
    ({ role, parts }) => role === 'user' && parts.every(({ respondsTo }) => respondsTo === undefined),
  );
  for (const { parts } of contents.slice(lastQuestion + 1)) {
    const call = parts.find(({ calls }) => calls !== undefined);
    if (!call || call.signature !== undefined) continue;
    throw invalidRequest(
      `Function call is missing a thought_signature in functionCall parts: ${call.calls}.`,
      'contents',
    );
  }
}

/** A content that brings function responses is the tools' turn. */
function turnOf({ role, parts }: Content): Turn {
  const responses = parts.filter(({ respondsTo }) => respondsTo !== undefined);
  const spoken = responses.length > 0 ? responses : parts;
  const text = spoken
    .filter((part) => !part.isThought)
    .map((part) => part.text)
    .join('\n');
  if (responses.length > 0) return { role: 'tool', text };
  return { role: role === 'model' ? 'assistant' : 'user', text };
}

function readTools(given: unknown): Tool[] {
  return optionalList(given, 'tools').flatMap((item, index) => {
    const tool = requiredRecord(item, `tools[${index}]`);
    const param = `tools[${index}].functionDeclarations`;
    return optionalList(tool.functionDeclarations ?? tool.function_declarations, param).map(
      (declared, nth) => {
        const { name, parameters, parametersJsonSchema } = requiredRecord(declared, `${param}[${nth}]`);
        const given = optionalRecord(parametersJsonSchema ?? parameters, `${param}[${nth}].parameters`);
        return {
          name: requiredText(name, `${param}[${nth}].name`),
          parameters: given ? jsonSchemaOf(given) : { type: 'object', properties: {} },
        };
      },
    );
  });
}

/** The first tool that is allowed right after a user's message, always with mode ANY, never with NONE. */
function chooseTool(tools: readonly Tool[], given: unknown, turns: readonly Turn[]): Tool | undefined {
  const config = optionalRecord(given, 'toolConfig');
  const calling = optionalRecord(
    config?.functionCallingConfig ?? config?.function_calling_config,
    'toolConfig',
  );
  const mode = String(calling?.mode ?? 'AUTO').toUpperCase();
  if (mode === 'NONE') return undefined;
  const names = optionalList(
    calling?.allowedFunctionNames,
    'toolConfig.functionCallingConfig.allowedFunctionNames',
  );
  const allowed = names.length === 0 ? tools : tools.filter(({ name }) => names.includes(name));
  return turns.at(-1)?.role === 'user' || mode === 'ANY' ? allowed[0] : undefined;
}

/** A schema asks for JSON of its form; the JSON type alone for any object. */
function readSchema(config: Record<string, unknown>): JsonSchema | undefined {
  const schema = optionalRecord(
    config.responseJsonSchema ?? config.responseSchema ?? config.response_schema,
    'generationConfig.responseSchema',
  );
  const type = config.responseMimeType ?? config.response_mime_type;
  if (schema) {
    if (type !== 'application/json' && type !== 'text/x.enum') {
      throw invalidRequest('A response schema needs responseMimeType application/json.', 'generationConfig');
    }
    return jsonSchemaOf(schema);
  }
  return type === 'application/json'
    ? { type: 'object', properties: { answer: { type: 'string' } } }
    : undefined;
}

/** Gemini 2.5 and later think unless the budget is 0; thoughts are told only when asked for. */
function readThinking(given: unknown, model: string): Pick<ModelCall, 'thinkingBudget' | 'tellThoughts'> {
  const config = optionalRecord(given, 'generationConfig.thinkingConfig');
  const thinks = /^gemini-(?:2\.5|[3-9])/u.test(model);
  const budget = config?.thinkingBudget;
  const limited = typeof budget === 'number' && budget >= 0;
  return {
    thinkingBudget: !thinks ? 0 : limited ? budget : Number.POSITIVE_INFINITY,
    tellThoughts: thinks && optionalBoolean(config?.includeThoughts, 'thinkingConfig.includeThoughts'),
  };
}
