import { imageSize } from '../images.ts';
import type { PromptTokens } from '../model-call.ts';
import { invalidRequest } from '../provider-error.ts';
import { optionalRecord, optionalText, requiredRecord, requiredText } from '../read-json.ts';
import { countTokens } from '../tokens.ts';

type PartTokens = Omit<PromptTokens, 'images'>;

export interface GeminiPart {
  readonly text: string;
  readonly isThought: boolean;
  readonly isImage: boolean;
  readonly tokens: PartTokens;
  readonly signature: string | undefined;
  /** The name of the function that a function call part calls. */
  readonly calls?: string;
  /** The id, or the name without one, of the call that a function response answers. */
  readonly respondsTo?: string;
}

export const noTokens: PartTokens = { all: 0, image: 0, audio: 0 };

/** Gemini's figures: an image (one tile) or a page counts 258 tokens, a second of audio 32. */
const tokensPerImage = 258;
const tokensPerAudioSecond = 32;
/** 16 kHz, 16 bits, one channel. */
const bytesPerAudioSecond = 32_000;

export function totalOf(left: PartTokens, right: PartTokens): PartTokens {
  return { all: left.all + right.all, image: left.image + right.image, audio: left.audio + right.audio };
}

/** Reads the parts of a content. Throws ProviderError naming the one that is not right. */
export function readParts(parts: readonly unknown[], param: string): GeminiPart[] {
  return parts.map((part, index) => readPart(part, `${param}[${index}]`));
}

function readPart(given: unknown, param: string): GeminiPart {
  const part = requiredRecord(given, param);
  const common = {
    isThought: part.thought === true,
    isImage: false,
    signature: optionalText(part.thoughtSignature ?? part.thought_signature, `${param}.thoughtSignature`),
  };
  const call = optionalRecord(part.functionCall ?? part.function_call, `${param}.functionCall`);
  if (call) {
    const calls = requiredText(call.name, `${param}.functionCall.name`);
    return { ...common, text: '', calls, tokens: textTokens(JSON.stringify(call)) };
  }
  const answer = optionalRecord(part.functionResponse ?? part.function_response, `${param}.functionResponse`);
  if (answer) {
    const name = requiredText(answer.name, `${param}.functionResponse.name`);
    const response = requiredRecord(answer.response, `${param}.functionResponse.response`);
    const respondsTo = optionalText(answer.id, `${param}.functionResponse.id`) ?? name;
    const text = textOfResponse(response);
    return { ...common, text, respondsTo, tokens: textTokens(JSON.stringify(answer)) };
  }
  const blob = optionalRecord(part.inlineData ?? part.inline_data, `${param}.inlineData`);
  const file = optionalRecord(part.fileData ?? part.file_data, `${param}.fileData`);
  if (blob) return { ...common, ...blobPart(blob, `${param}.inlineData`) };
  if (file) return { ...common, text: '', isImage: true, tokens: imageTokens };
  if (part.text === undefined) throw invalidRequest(`${param}: the part holds no data.`, param);
  const text = requiredText(part.text, `${param}.text`);
  return { ...common, text, tokens: textTokens(text) };
}

const imageTokens: PartTokens = { all: tokensPerImage, image: tokensPerImage, audio: 0 };

function blobPart(
  blob: Record<string, unknown>,
  param: string,
): Pick<GeminiPart, 'text' | 'isImage' | 'tokens'> {
  const type = requiredText(blob.mimeType ?? blob.mime_type, `${param}.mimeType`);
  imageSize(blob.data, `${param}.data`);
  if (!type.startsWith('audio/'))
    return { text: '', isImage: type.startsWith('image/'), tokens: imageTokens };
  const bytes = Math.floor((String(blob.data).length * 3) / 4);
  const audio = Math.ceil(bytes / bytesPerAudioSecond) * tokensPerAudioSecond;
  return { text: '', isImage: false, tokens: { all: audio, image: 0, audio } };
}

/** Clients that have only a text to give put it under one name. */
function textOfResponse(response: Record<string, unknown>): string {
  const told = response.content ?? response.output ?? response.result;
  return typeof told === 'string' ? told : JSON.stringify(response);
}

function textTokens(text: string): PartTokens {
  return { all: countTokens(text), image: 0, audio: 0 };
}
