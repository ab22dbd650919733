import { z } from 'zod';

/** Filters of searches and questions. */
export const filtersBody = z
  .strictObject({
    document_ids: z.array(z.uuid()).min(1).max(100).optional().describe('Only these documents'),
    metadata: z
      .record(z.string().min(1).max(100), z.union([z.string().max(1_000), z.number(), z.boolean()]))
      .refine((members) => Object.keys(members).length <= 20, 'must have at most 20 members')
      .optional()
      .describe('Only documents whose metadata has these members with these very values'),
  })
  .describe('What to narrow it to');

export const queryText = z
  .string()
  .trim()
  .min(1)
  .max(2_000)
  .transform((text) => text.toWellFormed());

export const searchBody = z.strictObject({
  query: queryText,
  mode: z
    .enum(['hybrid', 'lexical', 'vector'])
    .optional()
    .describe('By words, by meaning, or both; default hybrid, which is lexical without an embedding model'),
  limit: z.number().int().min(1).max(50).default(10),
  filters: filtersBody.optional(),
});

const spanView = z.object({
  start: z.number().int(),
  end: z.number().int(),
});

const hitView = z.object({
  document_id: z.string(),
  title: z.string(),
  text: z.string().describe('The stored text of the document from start to end'),
  start: z.number().int().describe('UTF-16 code units into the stored text'),
  end: z.number().int().describe('UTF-16 code units into the stored text, exclusive'),
  score: z.number().describe('0 to 1; comparable within one search'),
  heading: z.string().optional(),
  metadata: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
  highlights: z.array(spanView).optional().describe('Words of the query, as offsets into the stored text'),
});

export const searchView = z.object({
  hits: z.array(hitView),
  mode: z.enum(['hybrid', 'lexical', 'vector']).describe('How it was searched'),
  warnings: z.array(z.string()).optional(),
  correlation_id: z.string(),
});
