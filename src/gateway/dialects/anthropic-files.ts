import type { LanguageModelV4FilePart, LanguageModelV4TextPart } from '@ai-sdk/provider';
import type { JsonObject } from '../json-object.ts';
import { fieldPath } from '../translation/call-limits.ts';
import { type FieldReader, join } from '../translation/field-reader.ts';
import { present } from '../translation/present.ts';
import { cacheHint } from './openai-chat-prompt.ts';

export type UserPart = LanguageModelV4TextPart | LanguageModelV4FilePart;

/** What users and tools can say: a text, a picture, a document, or a passage that was found. */
export function readUserBlock(block: JsonObject, path: string, fields: FieldReader): UserPart[] {
  switch (block.type) {
    case 'text':
      return [textBlock(block, path, fields)];
    case 'image':
      return imageBlock(block, path, fields);
    case 'document':
      return documentBlock(block, path, fields);
    case 'search_result':
      return searchResult(block, path, fields);
    default:
      fields.refuse(join(path, 'type'), `"${String(block.type)}" cannot be carried`);
      return [];
  }
}

/** Citations say where an earlier answer had its facts from; they are told to the caller, not to the model. */
export function textBlock(block: JsonObject, path: string, fields: FieldReader): LanguageModelV4TextPart {
  fields.only(block, ['type', 'text', 'cache_control', 'citations'], path);
  const text = fields.text(block.text, join(path, 'text')) ?? '';
  return { type: 'text', text, ...cacheHint(block) };
}

function imageBlock(block: JsonObject, path: string, fields: FieldReader): UserPart[] {
  fields.only(block, ['type', 'source', 'cache_control'], path);
  const at = join(path, 'source');
  const source = fields.object(block.source, at);
  const file = source && readSource(source, at, 'image/*', fields);
  return file ? [withHint(file, block)] : [];
}

function documentBlock(block: JsonObject, path: string, fields: FieldReader): UserPart[] {
  fields.only(block, ['type', 'source', 'title', 'context', 'citations', 'cache_control'], path);
  refuseCitations(block, path, fields);
  const at = join(path, 'source');
  const source = fields.object(block.source, at);
  if (!source) return [];
  const title = fields.text(block.title, join(path, 'title'));
  const context = fields.text(block.context, join(path, 'context'));
  const heading = [title, context].filter((line) => line !== undefined).join('\n');
  const around: UserPart[] = heading === '' ? [] : [{ type: 'text', text: heading }];
  if (source.type === 'text') {
    fields.only(source, ['type', 'media_type', 'data'], at);
    const text = fields.text(source.data, join(at, 'data')) ?? '';
    return [...around, { type: 'text', text, ...cacheHint(block) }];
  }
  if (source.type === 'content') {
    fields.only(source, ['type', 'content'], at);
    return [...around, ...readUserContent(source.content, join(at, 'content'), fields)];
  }
  const file = readSource(source, at, 'application/pdf', fields);
  if (!file) return [];
  const named = { ...file, ...present({ filename: title }) };
  return context === undefined
    ? [withHint(named, block)]
    : [{ type: 'text', text: context }, withHint(named, block)];
}

/** A text, or a list of blocks. */
function readUserContent(content: unknown, path: string, fields: FieldReader): UserPart[] {
  if (typeof content === 'string') return content === '' ? [] : [{ type: 'text', text: content }];
  return (fields.list(content, path) ?? []).flatMap((item, index) => {
    const at = join(path, index);
    const block = fields.object(item, at);
    return block ? readUserBlock(block, at, fields) : [];
  });
}

function searchResult(block: JsonObject, path: string, fields: FieldReader): UserPart[] {
  fields.only(block, ['type', 'source', 'title', 'content', 'citations', 'cache_control'], path);
  refuseCitations(block, path, fields);
  const source = fields.text(block.source, join(path, 'source')) ?? '';
  const title = fields.text(block.title, join(path, 'title')) ?? '';
  const passages = readUserContent(block.content, join(path, 'content'), fields);
  return [{ type: 'text', text: `${title} (${source})` }, ...passages];
}

/** Only Anthropic's models can be asked to cite what they were given, in a form that callers rely on. */
function refuseCitations(block: JsonObject, path: string, fields: FieldReader): void {
  const at = join(path, 'citations');
  if (fields.object(block.citations, at)?.enabled === true) {
    fields.refuse(join(at, 'enabled'), 'cannot be carried');
  }
}

/** @param family what it is where nothing says it closer. */
function readSource(
  source: JsonObject,
  path: string,
  family: 'image/*' | 'application/pdf',
  fields: FieldReader,
): LanguageModelV4FilePart | null {
  const providerOptions = fieldPath(path);
  if (source.type === 'base64') {
    fields.only(source, ['type', 'media_type', 'data'], path);
    const data = fields.text(source.data, join(path, 'data')) ?? '';
    const mediaType = fields.text(source.media_type, join(path, 'media_type')) ?? family;
    return { type: 'file', data: { type: 'data', data }, mediaType, providerOptions };
  }
  if (source.type === 'url') {
    fields.only(source, ['type', 'url'], path);
    const given = fields.text(source.url, join(path, 'url')) ?? '';
    // For the provider to fetch: nothing is fetched here.
    const url = URL.canParse(given) ? new URL(given) : null;
    if (url?.protocol === 'https:' || url?.protocol === 'http:') {
      return { type: 'file', data: { type: 'url', url }, mediaType: family, providerOptions };
    }
    fields.refuse(join(path, 'url'), 'must be an http or https URL');
    return null;
  }
  fields.refuse(join(path, 'type'), `"${String(source.type)}" cannot be carried`);
  return null;
}

function withHint(file: LanguageModelV4FilePart, block: JsonObject): LanguageModelV4FilePart {
  const { providerOptions } = cacheHint(block);
  return providerOptions
    ? { ...file, providerOptions: { ...file.providerOptions, ...providerOptions } }
    : file;
}
