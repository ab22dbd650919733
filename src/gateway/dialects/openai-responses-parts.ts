import type { LanguageModelV4FilePart, LanguageModelV4TextPart } from '@ai-sdk/provider';
import type { JsonObject } from '../json-object.ts';
import { fieldPath } from '../translation/call-limits.ts';
import { absent, type FieldReader, join } from '../translation/field-reader.ts';
import { fileFromUrl } from './openai-chat-files.ts';

type Part = LanguageModelV4TextPart | LanguageModelV4FilePart;

/** Documents by what their names end in; a provider must be told what a file is. */
const typeOfExtension: Readonly<Record<string, string>> = {
  pdf: 'application/pdf',
  txt: 'text/plain',
  md: 'text/markdown',
  csv: 'text/csv',
  html: 'text/html',
  json: 'application/json',
  xml: 'application/xml',
};
const typeOfAudio: Readonly<Record<string, string>> = { wav: 'audio/wav', mp3: 'audio/mpeg' };

/** Reads what a user's message or a tool's output holds: a text, or a list of parts. */
export function readParts(given: unknown, path: string, fields: FieldReader): Part[] {
  if (typeof given === 'string') return [{ type: 'text', text: given }];
  if (!Array.isArray(given)) {
    fields.refuse(path, 'must be a text or a list of parts');
    return [];
  }
  return given.flatMap((item, index) => {
    const part = fields.object(item, join(path, index));
    return (part && readPart(part, join(path, index), fields)) ?? [];
  });
}

/** Texts only, as one. */
export function readText(given: unknown, path: string, fields: FieldReader): string {
  return readParts(given, path, fields)
    .map((part, index) => {
      if (part.type === 'text') return part.text;
      fields.refuse(join(path, index), 'must be a text');
      return '';
    })
    .join('\n');
}

function readPart(part: JsonObject, path: string, fields: FieldReader): Part | null {
  switch (part.type) {
    case 'input_text':
      fields.only(part, ['type', 'text', 'prompt_cache_breakpoint'], path);
      return {
        type: 'text',
        text: fields.text(part.text, join(path, 'text')) ?? '',
        ...optionsOf(part, null),
      };
    case 'output_text':
      // What an answer cited, and how likely its tokens were, was told to the caller; it is no part of what was said.
      fields.only(part, ['type', 'text', 'annotations', 'logprobs', 'parsed'], path);
      return { type: 'text', text: fields.text(part.text, join(path, 'text')) ?? '' };
    case 'refusal':
      fields.only(part, ['type', 'refusal'], path);
      return { type: 'text', text: fields.text(part.refusal, join(path, 'refusal')) ?? '' };
    case 'input_image':
      // `detail` says how closely OpenAI's models look, and at what price; other providers have no such setting.
      fields.only(part, ['type', 'image_url', 'detail', 'file_id', 'prompt_cache_breakpoint'], path);
      if (!absent(part.file_id)) return refuseStored(path, 'image_url', fields);
      return atUrl(part, part.image_url, 'image', join(path, 'image_url'), fields);
    case 'input_file':
      return readFile(part, path, fields);
    case 'input_audio':
      return readAudio(part, path, fields);
    default:
      fields.refuse(join(path, 'type'), 'must be input_text, input_image, input_file or input_audio');
      return null;
  }
}

function readFile(part: JsonObject, path: string, fields: FieldReader): Part | null {
  fields.only(
    part,
    ['type', 'file_data', 'file_url', 'file_id', 'filename', 'detail', 'prompt_cache_breakpoint'],
    path,
  );
  if (!absent(part.file_id)) return refuseStored(path, 'file_data or file_url', fields);
  const filename = fields.text(part.filename, join(path, 'filename'));
  const file = readFileData(part, filename, path, fields);
  return file && filename !== undefined ? { ...file, filename } : file;
}

function readFileData(
  part: JsonObject,
  filename: string | undefined,
  path: string,
  fields: FieldReader,
): LanguageModelV4FilePart | null {
  const { file_data: data, file_url: url } = part;
  if (typeof data === 'string' && !data.startsWith('data:')) {
    const mediaType = typeOfName(filename) ?? 'application/pdf';
    return {
      type: 'file',
      data: { type: 'data', data },
      mediaType,
      ...optionsOf(part, join(path, 'file_data')),
    };
  }
  if (!absent(data)) return atUrl(part, data, 'application', join(path, 'file_data'), fields);
  const file = atUrl(part, url, 'application', join(path, 'file_url'), fields);
  const named = typeOfName(filename) ?? typeOfName(String(url).split(/[?#]/)[0]);
  if (file === null || file.data.type !== 'url' || named !== null)
    return file && named ? { ...file, mediaType: named } : file;
  const known = Object.keys(typeOfExtension).join(', ');
  fields.refuse(join(path, 'filename'), `must end in one of ${known}, so that it is known what the file is`);
  return null;
}

function readAudio(part: JsonObject, path: string, fields: FieldReader): Part | null {
  fields.only(part, ['type', 'input_audio'], path);
  const at = join(path, 'input_audio');
  const given = fields.object(part.input_audio, at);
  const data = fields.text(given?.data, join(at, 'data'));
  const mediaType = typeOfAudio[String(given?.format)];
  if (data !== undefined && mediaType !== undefined) {
    return { type: 'file', data: { type: 'data', data }, mediaType, ...optionsOf(part, at) };
  }
  fields.refuse(at, 'must have data in base64 and the format wav or mp3');
  return null;
}

function atUrl(
  part: JsonObject,
  given: unknown,
  family: 'image' | 'application',
  path: string,
  fields: FieldReader,
): LanguageModelV4FilePart | null {
  if (absent(given)) fields.refuse(path, 'must be an http or https URL, or a data URI in base64');
  const url = fields.text(given, path);
  const file = url === undefined ? null : fileFromUrl(url, family, path, fields);
  return file && { ...file, ...optionsOf(part, path) };
}

function refuseStored(path: string, instead: string, fields: FieldReader): null {
  fields.refuse(join(path, 'file_id'), `names a file that OpenAI keeps; send ${instead}`);
  return null;
}

function typeOfName(name: string | undefined): string | null {
  const extension = /\.(\w+)$/.exec(name ?? '')?.[1]?.toLowerCase();
  return extension === undefined ? null : (typeOfExtension[extension] ?? null);
}

/** Where the part stands, and whether a prompt's fixed beginning ends with it, for providers that want to be told. */
function optionsOf(part: JsonObject, path: string | null): Pick<Part, 'providerOptions'> {
  const marked = !absent(part.prompt_cache_breakpoint);
  if (!marked && path === null) return {};
  const place = path === null ? {} : fieldPath(path);
  if (!marked) return { providerOptions: place };
  const anthropic = { cacheControl: { type: 'ephemeral' } };
  return { providerOptions: { ...place, anthropic, amazonBedrock: { cachePoint: { type: 'default' } } } };
}
