import type { LanguageModelV4FilePart } from '@ai-sdk/provider';
import type { JsonObject } from '../json-object.ts';
import { fieldPath } from '../translation/call-limits.ts';
import { type FieldReader, join } from '../translation/field-reader.ts';

const audioTypes: Readonly<Record<string, string>> = { wav: 'audio/wav', mp3: 'audio/mpeg' };

/** A picture, a recording or a file in a user's message. */
export function readChatFile(
  part: JsonObject,
  path: string,
  fields: FieldReader,
): LanguageModelV4FilePart | null {
  switch (part.type) {
    case 'image_url':
      return imagePart(part, path, fields);
    case 'input_audio':
      return audioPart(part, path, fields);
    case 'file':
      return filePart(part, path, fields);
    default:
      fields.refuse(join(path, 'type'), 'must be text, image_url, input_audio or file');
      return null;
  }
}

function imagePart(part: JsonObject, path: string, fields: FieldReader): LanguageModelV4FilePart | null {
  fields.only(part, ['type', 'image_url', 'cache_control'], path);
  const at = join(path, 'image_url');
  const given =
    typeof part.image_url === 'string' ? { url: part.image_url } : fields.object(part.image_url, at);
  if (!given) return null;
  // `detail` only says how closely OpenAI's own models look, at what price.
  fields.only(given, ['url', 'detail'], at);
  const url = fields.text(given.url, join(at, 'url'));
  return url === undefined ? null : fileFromUrl(url, 'image', join(at, 'url'), fields);
}

function audioPart(part: JsonObject, path: string, fields: FieldReader): LanguageModelV4FilePart | null {
  fields.only(part, ['type', 'input_audio'], path);
  const at = join(path, 'input_audio');
  const given = fields.object(part.input_audio, at);
  if (!given) return null;
  const data = fields.text(given.data, join(at, 'data'));
  const mediaType = audioTypes[String(given.format)];
  if (mediaType === undefined) fields.refuse(join(at, 'format'), 'must be wav or mp3');
  if (data === undefined || mediaType === undefined) return null;
  return { type: 'file', data: { type: 'data', data }, mediaType, providerOptions: fieldPath(at) };
}

function filePart(part: JsonObject, path: string, fields: FieldReader): LanguageModelV4FilePart | null {
  fields.only(part, ['type', 'file', 'cache_control'], path);
  const at = join(path, 'file');
  const given = fields.object(part.file, at);
  if (!given) return null;
  fields.only(given, ['file_data', 'filename'], at);
  const url = fields.text(given.file_data, join(at, 'file_data'));
  if (url === undefined) return null;
  const filename = fields.text(given.filename, join(at, 'filename'));
  const file = fileFromUrl(url, 'application', join(at, 'file_data'), fields);
  return file && filename !== undefined ? { ...file, filename } : file;
}

const imageTypes: Readonly<Record<string, string>> = {
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  webp: 'image/webp',
  gif: 'image/gif',
};

/**
 * @param family what kind of file it is where nothing says it closer.
 * @returns what a data URI holds, or the URL for the provider to fetch: nothing is fetched here.
 */
export function fileFromUrl(
  url: string,
  family: 'image' | 'application',
  path: string,
  fields: FieldReader,
): LanguageModelV4FilePart | null {
  const providerOptions = fieldPath(path);
  const inline = /^data:([^;,]+)(?:;[^;,]*)*;base64,/i.exec(url);
  if (inline) {
    const mediaType = (inline[1] ?? '').toLowerCase();
    const data = url.slice(inline[0].length);
    return { type: 'file', data: { type: 'data', data }, mediaType, providerOptions };
  }
  const remote = URL.canParse(url) ? new URL(url) : null;
  if (remote?.protocol !== 'https:' && remote?.protocol !== 'http:') {
    fields.refuse(path, 'must be an http or https URL, or a data URI in base64');
    return null;
  }
  const ending = /\.([a-z0-9]+)$/i.exec(remote.pathname)?.[1]?.toLowerCase() ?? '';
  const known = family === 'image' ? imageTypes[ending] : ending === 'pdf' ? 'application/pdf' : undefined;
  return {
    type: 'file',
    data: { type: 'url', url: remote },
    mediaType: known ?? `${family}/*`,
    providerOptions,
  };
}
