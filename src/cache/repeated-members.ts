import { endOfString } from '../platform/json-text.ts';

/**
 * Whether a JSON text names a member of one object twice. Parsers differ in which of the two they take: what the provider
 * answers may then be the answer to another request than the one that is understood here.
 * @param parsed the text as JSON.parse reads it.
 */
export function repeatsMembers(text: string, parsed: unknown): boolean {
  return membersWritten(text) !== membersOf(parsed);
}

/** Each member has one colon that stands in no string. */
function membersWritten(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === ':') count++;
    else if (character === '"') at = endOfString(text, at);
  }
  return count;
}

function membersOf(parsed: unknown): number {
  let count = 0;
  const waiting: unknown[] = [parsed];
  while (waiting.length > 0) {
    const value = waiting.pop();
    if (typeof value !== 'object' || value === null) continue;
    const inside: readonly unknown[] = Object.values(value);
    if (!Array.isArray(value)) count += inside.length;
    for (const item of inside) waiting.push(item);
  }
  return count;
}
