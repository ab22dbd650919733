import { z } from 'zod';
import { roleName } from '../access/index.ts';
import { pageQuery } from '../platform/page.ts';
import { documentStatuses } from './knowledge-tables.ts';

/** Text that PostgreSQL can store and JSON can carry. */
const storable = (most: number) =>
  z
    .string()
    .max(most)
    .refine((text) => text.isWellFormed() && !text.includes('\0'), {
      message: 'must be well-formed Unicode without NUL characters',
    });
const label = (most: number) => storable(most).trim().min(1);

const metadata = z
  .record(label(100), z.union([storable(1_000), z.number(), z.boolean()]))
  .refine((entries) => Object.keys(entries).length <= 50, { message: 'must have at most 50 entries' })
  .describe('Up to 50 names with strings, numbers or booleans');

export const aclBody = z
  .object({
    roles: z.array(roleName).max(100).default([]),
    groups: z.array(label(200)).max(100).default([]),
    users: z.array(label(200)).max(100).default([]),
  })
  .describe('Who may read it: holders of any of these. All empty: everyone in the tenant');

const title = label(500).describe('Without one: the title in the file, else its name, else its first words');
const externalId = label(500).describe(
  'Your own name for the document: sending it again revises the document instead of adding another',
);
const contentType = z
  .enum(['text/plain', 'text/markdown', 'text/html'])
  .optional()
  .describe('What `text` is; without it, what the document was before, or plain text');
/** Lone surrogates, NUL and the like are cleaned by the parser, so that pasted text is never refused for them. */
const text = z.string().min(1).describe('Instead of this, send multipart/form-data with the field `file`');

/**
 * A body of JSON, or none: that of a multipart request is read while its file is stored, after validation, and until then
 * the validator is handed null for it.
 */
const jsonOrNone = <Body extends z.ZodType>(body: Body) =>
  z.preprocess((sent) => sent ?? undefined, body.optional());

export const addBody = jsonOrNone(
  z.object({
    title: title.optional(),
    text,
    metadata: metadata.optional(),
    acl: aclBody.optional(),
    external_id: externalId.optional(),
    content_type: contentType,
  }),
);

export const reviseBody = jsonOrNone(
  z.object({
    title: title.optional(),
    text: text.optional(),
    metadata: metadata.optional(),
    acl: aclBody.optional(),
    content_type: contentType,
  }),
);

/** Fields of a multipart request, beside `file`; those that are objects are sent as JSON. */
export const uploadFields = z.object({
  title: title.optional(),
  metadata: metadata.optional(),
  acl: aclBody.optional(),
  external_id: externalId.optional(),
});

export const waitQuery = z.object({
  wait: z
    .enum(['true', 'false'])
    .default('false')
    .describe('`true`: answer when the document is searchable, or after a minute'),
});

export const listQuery = pageQuery.extend({ status: z.enum(documentStatuses).optional() });

export const documentParams = z.object({ id: z.string().max(100) });

export const documentView = z.object({
  id: z.string(),
  external_id: z.string().nullable(),
  title: z.string(),
  status: z.enum(documentStatuses),
  reason: z.string().nullable().describe('Why it failed: a stable code'),
  detail: z.string().nullable().describe('Why it failed, and what to do about it'),
  warnings: z.array(z.string()).describe('What could not be read, although the rest was'),
  version: z.number().int().describe('Counts changes of the content'),
  searchable_version: z.number().int().nullable().describe('The version that search and answers see'),
  content_type: z.string().nullable(),
  file_name: z.string().nullable(),
  bytes: z.number().int(),
  content_sha256: z.string(),
  text_length: z.number().int().nullable().describe('UTF-16 code units of the stored text'),
  chunk_count: z.number().int().nullable(),
  metadata: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  acl: z.object({
    roles: z.array(z.string()),
    groups: z.array(z.string()),
    users: z.array(z.string()),
  }),
  created_by: z.string(),
  created_at: z.string(),
  updated_at: z.string(),
});

export const documentList = z.object({
  documents: z.array(documentView),
  next_cursor: z.string().nullable(),
});

export const textView = z.object({
  document_id: z.string(),
  version: z.number().int(),
  text: z.string(),
  length: z.number().int().describe('UTF-16 code units'),
  offset_unit: z.literal('utf16').describe('What offsets into `text` count'),
});

export const receiptView = z
  .object({
    id: z.string(),
    document_id: z.string(),
    status: z.enum(['complete', 'in_progress']),
    requested_by: z.string(),
    requested_at: z.string(),
    completed_at: z.string().nullable(),
    places: z.array(
      z.object({
        place: z.string(),
        removed: z.number().int().nullable().describe('Null: the place does not count'),
        found: z.number().int().nullable().describe('What a look afterwards found; null: not looked yet'),
      }),
    ),
  })
  .describe('What a deletion removed, and what a look into every place found afterwards');
