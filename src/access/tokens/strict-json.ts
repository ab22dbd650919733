import { endOfString } from '../../platform/json-text.ts';

/** Claims nest a little (`realm_access.roles`), never so deep. */
const maxDepth = 16;

/**
 * Reads a JSON object in the one way in which nobody can read it differently: a name that stands twice (of which readers
 * take the first or the last as they like), a NUL in any text (which ends it for some), and deep nesting are refused.
 * @returns null when `text` is no such object.
 */
export function strictJsonObject(text: string): Record<string, unknown> | null {
  if (text.includes('\u0000') || text.includes('\\u0000')) return null;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return null;
  return hasUniqueNames(text) ? (parsed as Record<string, unknown>) : null;
}

/** @param text is JSON. Names are compared as what they mean, so that an escape hides no second one. */
function hasUniqueNames(text: string): boolean {
  // Of each object that is open, the names so far; null for an array.
  const open: (Set<string> | null)[] = [];
  for (let at = 0; at < text.length; at++) {
    switch (text[at]) {
      case '{':
      case '[':
        if (open.length === maxDepth) return false;
        open.push(text[at] === '{' ? new Set() : null);
        break;
      case '}':
      case ']':
        open.pop();
        break;
      case '"': {
        const end = endOfString(text, at);
        const names = open.at(-1);
        if (names && isName(text, end)) {
          const name = JSON.parse(text.slice(at, end + 1)) as string;
          if (names.has(name)) return false;
          names.add(name);
        }
        at = end;
      }
    }
  }
  return true;
}

function isName(text: string, end: number): boolean {
  let at = end + 1;
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at++;
  return text[at] === ':';
}
