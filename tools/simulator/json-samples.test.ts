import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { sampleOfSchema } from './json-samples.ts';
import { createSeededRandom } from './seeded.ts';

const sampleOf = (schema: Record<string, unknown>, seed = 1): unknown =>
  sampleOfSchema(schema, createSeededRandom(seed), ['Paris']);

const order = z.strictObject({
  id: z.uuid(),
  kind: z.enum(['new', 'change']),
  version: z.literal(2),
  quantity: z.int().min(3).max(7),
  price: z.number().gt(0).lt(1),
  step: z.int().multipleOf(5).min(11),
  express: z.boolean(),
  email: z.email(),
  on: z.iso.date(),
  note: z.string().min(20).max(30),
  tags: z.array(z.string()).min(2).max(3),
  discount: z.union([z.number(), z.null()]),
  customer: z.strictObject({ name: z.string() }),
});

test('samples are valid for the schema they were made of, for every seed', () => {
  const schema = z.toJSONSchema(order);
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      expect(order.safeParse(sampleOf(schema, seed)).error).toBeUndefined();
    }),
  );
});

test('strings are made of the words given', () => {
  expect(sampleOf({ type: 'object', properties: { city: { type: 'string' } } })).toEqual({ city: 'Paris' });
});

test('references and allOf are followed', () => {
  const schema = {
    allOf: [{ $ref: '#/$defs/named' }, { properties: { size: { const: 4 } } }],
    $defs: { named: { type: 'object', properties: { name: { enum: ['a'] } } } },
  };
  expect(sampleOf(schema)).toEqual({ name: 'a', size: 4 });
});

test('recursive and wide schemas end', () => {
  const children = Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`c${index}`, { $ref: '#' }]));
  const optional = JSON.stringify(sampleOf({ type: 'object', properties: children }));
  const required = { type: 'object', properties: children, required: Object.keys(children) };
  const lists = { type: 'array', minItems: 2, items: { $ref: '#' } };
  expect(optional.length).toBeLessThan(1_000_000);
  expect(JSON.stringify(sampleOf(required)).length).toBeLessThan(1_000_000);
  expect(JSON.stringify(sampleOf(lists)).length).toBeLessThan(1_000_000);
});
