import { pick, type SeededRandom, seededHex } from './seeded.ts';

export type JsonSchema = { readonly [keyword: string]: unknown };

/** Below this depth, or past this many values, only what is required is made: recursive schemas end. */
const maxDepth = 8;
const maxValues = 5_000;
const fillerWords = ['amber', 'harbour', 'meadow', 'signal', 'copper', 'lantern', 'orchard', 'summit'];

interface Sampling {
  readonly random: SeededRandom;
  readonly root: JsonSchema;
  /** Words to make strings of, so that arguments look as if the model had read the question. */
  readonly words: readonly string[];
  valuesMade: number;
}

/**
 * A JSON value that is valid for a simple JSON Schema: type, enum, const, properties, items, bounds, common formats,
 * local $ref, anyOf, oneOf, allOf. Patterns and conditionals are not looked at. Every property is filled in, within
 * the bounds above.
 */
export function sampleOfSchema(
  schema: JsonSchema,
  random: SeededRandom,
  words: readonly string[] = [],
): unknown {
  const vocabulary = words.length > 0 ? words : fillerWords;
  return sample(schema, { random, root: schema, words: vocabulary, valuesMade: 0 }, 0);
}

function sample(given: JsonSchema, sampling: Sampling, depth: number): unknown {
  sampling.valuesMade += 1;
  // A recursion that nothing optional ends has no finite value: null is the way out.
  if (depth >= 2 * maxDepth || sampling.valuesMade > 2 * maxValues) return null;
  const closing = depth >= maxDepth || sampling.valuesMade > maxValues;
  const schema = resolved(given, sampling, closing);
  if ('const' in schema) return schema.const;
  if (Array.isArray(schema.enum)) return pick(sampling.random, schema.enum) ?? null;
  switch (typeOf(schema, closing)) {
    case 'object':
      return sampleObject(schema, sampling, depth, closing);
    case 'array':
      return sampleArray(schema, sampling, depth, closing);
    case 'integer':
      return sampleInteger(schema, sampling.random);
    case 'number':
      return sampleNumber(schema, sampling.random);
    case 'boolean':
      return sampling.random() < 0.5;
    case 'null':
      return null;
    default:
      return sampleString(schema, sampling);
  }
}

/** Follows references and takes the first alternative; a nullable alternative ends a recursion that is too deep. */
function resolved(given: JsonSchema, sampling: Sampling, closing: boolean): JsonSchema {
  let schema = given;
  for (let step = 0; step < maxDepth; step += 1) {
    const alternatives = schemasIn(schema.anyOf ?? schema.oneOf);
    const merged = schemasIn(schema.allOf);
    if (typeof schema.$ref === 'string') schema = atPointer(sampling.root, schema.$ref);
    else if (alternatives.length > 0) {
      const ending = alternatives.find((alternative) => alternative.type === 'null');
      schema = (closing ? ending : undefined) ?? alternatives[0] ?? {};
    } else if (merged.length > 0)
      schema = mergeAll(
        schema,
        merged.map((part) => resolved(part, sampling, closing)),
      );
    else break;
  }
  return schema;
}

function mergeAll(schema: JsonSchema, parts: readonly JsonSchema[]): JsonSchema {
  const { allOf: _, ...own } = schema;
  let merged: JsonSchema = own;
  for (const part of parts) {
    merged = {
      ...merged,
      ...part,
      properties: { ...asSchema(merged.properties), ...asSchema(part.properties) },
    };
  }
  return merged;
}

function typeOf(schema: JsonSchema, closing: boolean): string {
  if (Array.isArray(schema.type)) {
    const types = schema.type.filter((type): type is string => typeof type === 'string');
    const ends = closing && types.includes('null');
    return ends ? 'null' : (types.find((type) => type !== 'null') ?? 'null');
  }
  if (typeof schema.type === 'string') return schema.type;
  if (schema.properties !== undefined) return 'object';
  return schema.items === undefined ? 'string' : 'array';
}

function sampleObject(
  schema: JsonSchema,
  sampling: Sampling,
  depth: number,
  closing: boolean,
): Record<string, unknown> {
  const required = Array.isArray(schema.required) ? schema.required : [];
  const value: Record<string, unknown> = {};
  for (const [name, property] of Object.entries(asSchema(schema.properties))) {
    if (closing && !required.includes(name)) continue;
    value[name] = sample(asSchema(property), sampling, depth + 1);
  }
  return value;
}

function sampleArray(schema: JsonSchema, sampling: Sampling, depth: number, closing: boolean): unknown[] {
  const least = numberOr(schema.minItems, closing ? 0 : 1);
  const length = Math.min(least, numberOr(schema.maxItems, least), 100);
  return Array.from({ length }, () => sample(asSchema(schema.items), sampling, depth + 1));
}

function sampleInteger(schema: JsonSchema, random: SeededRandom): number {
  const { low, high } = bounds(schema, 1);
  const step = numberOr(schema.multipleOf, 1);
  const first = Math.ceil(low / step);
  const last = Math.max(first, Math.floor(high / step));
  return (first + Math.floor(random() * (last - first + 1))) * step;
}

function sampleNumber(schema: JsonSchema, random: SeededRandom): number {
  if (typeof schema.multipleOf === 'number') return sampleInteger(schema, random);
  const { low, high } = bounds(schema, 0);
  const value = Math.round((low + random() * (high - low)) * 100) / 100;
  return value > low && value < high ? value : (low + high) / 2;
}

/** The range of a number, 1 to 100 where the schema is silent; `exclusiveStep` keeps whole numbers off an open end. */
function bounds(schema: JsonSchema, exclusiveStep: number): { low: number; high: number } {
  const least = schema.minimum ?? addTo(schema.exclusiveMinimum, exclusiveStep);
  const most = schema.maximum ?? addTo(schema.exclusiveMaximum, -exclusiveStep);
  const low = numberOr(least, typeof most === 'number' ? Math.min(1, most) : 1);
  return { low, high: numberOr(most, Math.max(100, low + 100)) };
}

function addTo(value: unknown, step: number): unknown {
  return typeof value === 'number' ? value + step : undefined;
}

function sampleString(schema: JsonSchema, { random, words }: Sampling): string {
  const formatted = typeof schema.format === 'string' ? stringOfFormat(schema.format, random) : undefined;
  if (formatted !== undefined) return formatted;
  const least = numberOr(schema.minLength, 0);
  let text = pick(random, words) ?? '';
  while (text.length < least && text.length < 10_000) text = `${text} ${pick(random, fillerWords) ?? 'word'}`;
  return text.slice(0, numberOr(schema.maxLength, text.length));
}

function stringOfFormat(format: string, random: SeededRandom): string | undefined {
  const day = String(1 + Math.floor(random() * 28)).padStart(2, '0');
  switch (format) {
    case 'date':
      return `2026-03-${day}`;
    case 'date-time':
      return `2026-03-${day}T09:30:00Z`;
    case 'time':
      return '09:30:00Z';
    case 'email':
      return `${seededHex(random, 6)}@example.com`;
    case 'uri':
    case 'url':
      return `https://example.com/${seededHex(random, 6)}`;
    case 'uuid': {
      const hex = seededHex(random, 32);
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`;
    }
    default:
      return undefined;
  }
}

function atPointer(root: JsonSchema, reference: string): JsonSchema {
  let here: unknown = root;
  for (const step of reference.replace(/^#\/?/, '').split('/').filter(Boolean)) {
    here = asSchema(here)[step.replaceAll('~1', '/').replaceAll('~0', '~')];
  }
  return asSchema(here);
}

function schemasIn(value: unknown): JsonSchema[] {
  return Array.isArray(value) ? value.map(asSchema) : [];
}

function asSchema(value: unknown): JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonSchema) : {};
}

function numberOr(value: unknown, fallback: number): number {
  return typeof value === 'number' ? value : fallback;
}
