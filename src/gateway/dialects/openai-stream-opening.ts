import type { JsonObject } from '../json-object.ts';

/**
 * Whether an event of a chat stream holds something of the answer, or only opens it: OpenAI's first chunk names the role,
 * Azure's tells of the prompt, others announce that they are at work. Whatever is not known to be nothing is something.
 */
export function carriesAnswer(chunk: JsonObject): boolean {
  if (!Array.isArray(chunk.choices)) return false;
  return chunk.choices.some((choice: unknown) => {
    if (!isRecord(choice)) return true;
    if (isSomething(choice.finish_reason) || isSomething(choice.text)) return true;
    return writes(choice.delta) || writes(choice.message);
  });
}

function writes(delta: unknown): boolean {
  if (!isRecord(delta)) return isSomething(delta);
  return Object.entries(delta).some(([member, value]) => member !== 'role' && isSomething(value));
}

function isSomething(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return false;
  return !Array.isArray(value) || value.length > 0;
}

function isRecord(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
