import { z } from 'zod';
import { filtersBody, queryText } from './search.schema.ts';

export const queryBody = z.strictObject({
  query: queryText,
  model: z
    .string()
    .min(1)
    .max(300)
    .optional()
    .describe('A route or provider/model; default: what the routes name'),
  limit: z.number().int().min(1).max(20).default(8).describe('Passages that the answer may be made of'),
  filters: filtersBody.optional(),
  stream: z.boolean().default(false).describe('Answer as server-sent events'),
});

const citationView = z.object({
  document_id: z.string(),
  title: z.string(),
  start: z.number().int().describe('UTF-16 code units into the stored text'),
  end: z.number().int().describe('UTF-16 code units into the stored text, exclusive'),
  text: z.string().describe('The stored text of the document from start to end'),
});

export const answerView = z.object({
  answer: z.string().describe('[1] in it is the first of the citations'),
  citations: z.array(citationView),
  sentences: z
    .array(
      z.object({
        text: z.string(),
        supported: z.boolean().describe('Whether its citations bear it out'),
        citations: z.array(z.number().int()).describe('Places in the list of citations, from 0'),
      }),
    )
    .describe('The answer sentence by sentence'),
  generated_by: z.object({
    tier: z.string().describe('search_results: quoted from the sources without a model'),
    provider: z.string().nullable(),
    model: z.string().nullable(),
  }),
  covered: z.boolean().describe('Whether the sources answer the question'),
  confidence: z.number().min(0).max(1),
  usage: z.object({
    input_tokens: z.number().int(),
    output_tokens: z.number().int(),
    embedding_tokens: z.number().int(),
  }),
  cost_usd: z.string().nullable().describe('US dollars; null when a model that was used has no price'),
  warnings: z.array(z.string()).optional(),
  correlation_id: z.string(),
});
