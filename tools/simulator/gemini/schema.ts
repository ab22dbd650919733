import type { JsonSchema } from '../json-samples.ts';

/**
 * Gemini's own schema form as JSON Schema: type names in capitals become small, `nullable` allows null, limits given
 * as texts become numbers. What is JSON Schema already stays as it is.
 */
export function jsonSchemaOf(schema: JsonSchema): JsonSchema {
  const converted: Record<string, unknown> = {};
  for (const [keyword, value] of Object.entries(schema)) converted[keyword] = convert(keyword, value);
  if (schema.nullable === true && typeof converted.type === 'string')
    converted.type = [converted.type, 'null'];
  return converted;
}

const numeric = new Set(['minItems', 'maxItems', 'minLength', 'maxLength', 'minProperties', 'maxProperties']);

function convert(keyword: string, value: unknown): unknown {
  if (keyword === 'type' && typeof value === 'string') return value.toLowerCase();
  if (numeric.has(keyword)) return Number(value);
  if (keyword === 'properties' && isRecord(value)) {
    return Object.fromEntries(
      Object.entries(value).map(([name, property]) => [
        name,
        isRecord(property) ? jsonSchemaOf(property) : property,
      ]),
    );
  }
  if (keyword === 'items' && isRecord(value)) return jsonSchemaOf(value);
  if (keyword === 'anyOf' && Array.isArray(value)) {
    return value.map((item: unknown) => (isRecord(item) ? jsonSchemaOf(item) : item));
  }
  return value;
}

function isRecord(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
