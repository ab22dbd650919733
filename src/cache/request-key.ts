import { repeatsMembers } from './repeated-members.ts';

/**
 * What of a request's body does not change its answer, by dialect. Everything else is part of the key, also what nobody
 * here has heard of: an unknown field then costs a hit, never a wrong answer.
 */
const withoutEffect: Readonly<Record<string, readonly string[]>> = {
  // `user`, `safety_identifier` and `metadata` are labels for the provider's own records; `prompt_cache_key` and its
  // retention steer where the provider keeps the prompt, not what it answers.
  'openai-chat': ['user', 'safety_identifier', 'metadata', 'prompt_cache_key', 'prompt_cache_retention'],
  // A response repeats its labels, and one caller's are not for another.
  'openai-responses': [],
  'openai-embeddings': ['user'],
  // Only a user's id for the provider's records.
  'anthropic-messages': ['metadata'],
  'anthropic-count-tokens': [],
};

/**
 * Stands in the key by itself: the route (with its version) says more than the model's name, and `stream` is a flag that
 * may be absent, null or false in the same sense.
 */
const statedOtherwise = ['model', 'stream'];

/** Requests that are made for what they do at the provider, or whose answer depends on what the provider keeps. */
function changesTheProvider(body: Readonly<Record<string, unknown>>): boolean {
  const { metadata } = body as { metadata?: { kapa_thread_id?: unknown } | null };
  // A question within a thread of an answer provider means something else in each thread, and becomes part of it.
  const inThread = (metadata?.kapa_thread_id ?? null) !== null;
  return body.store === true || body.background === true || (body.conversation ?? null) !== null || inThread;
}

/** Further digits than a double holds: two such numbers may differ and look the same once parsed. */
const longNumber = /\d{16}/;
/** Deeper than any request; recursion ends here. */
const maxDepth = 200;

export interface UnderstoodRequest {
  /** The body in one form for all ways to write it down. */
  readonly normal: string;
  /** The last turn, when it is a user's text, and the body without it in normal form; for the semantic cache. */
  question(): Question | null;
}

export interface Question {
  readonly text: string;
  readonly rest: string;
}

/**
 * @param bytes the body as the client's, valid JSON: dialects check that before anything looks here.
 * @returns null when the answer to this request cannot stand for another's.
 */
export function understandRequest(
  dialect: string,
  bytes: Buffer,
  streamed: boolean,
): UnderstoodRequest | null {
  const ignored = withoutEffect[dialect];
  if (ignored === undefined) return null;
  const text = bytes.toString('utf8');
  const body = JSON.parse(text) as Record<string, unknown>;
  if (changesTheProvider(body)) return null;
  if (longNumber.test(text)) return { normal: text, question: () => null };
  const kept = Object.entries(body).filter(
    ([name]) =>
      !ignored.includes(name) &&
      !statedOtherwise.includes(name) &&
      // Which events a stream has depends on it; a whole reply does not.
      (streamed || name !== 'stream_options'),
  );
  const normal = normalForm(Object.fromEntries(kept), 0);
  if (normal === null || repeatsMembers(text, body)) return null;
  return { normal, question: () => questionOf(dialect, kept) };
}

/** JSON with members in the order of their names; null when it is nested deeper than is looked at. */
export function normalForm(value: unknown, depth: number): string | null {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (depth > maxDepth) return null;
  const parts: string[] = [];
  if (Array.isArray(value)) {
    for (const item of value) {
      const part = normalForm(item, depth + 1);
      if (part === null) return null;
      parts.push(part);
    }
    return `[${parts.join(',')}]`;
  }
  const members = value as Readonly<Record<string, unknown>>;
  for (const name of Object.keys(members).sort()) {
    const part = normalForm(members[name], depth + 1);
    if (part === null) return null;
    parts.push(`${JSON.stringify(name)}:${part}`);
  }
  return `{${parts.join(',')}}`;
}

/** Where the turns are, by dialect. */
const turnsMember: Readonly<Record<string, string>> = {
  'openai-chat': 'messages',
  'anthropic-messages': 'messages',
  'openai-responses': 'input',
};

function questionOf(dialect: string, members: readonly [string, unknown][]): Question | null {
  const name = turnsMember[dialect];
  const turns = members.find(([member]) => member === name)?.[1];
  if (name === undefined) return null;
  const others = members.filter(([member]) => member !== name);
  if (typeof turns === 'string') return asked(turns, [...others, [name, null]]);
  if (!Array.isArray(turns)) return null;
  const last: unknown = turns.at(-1);
  if (typeof last !== 'object' || last === null || (last as { role?: unknown }).role !== 'user') return null;
  const { content } = last as { content?: unknown };
  const texts = textsOf(content);
  if (texts === null) return null;
  const withoutText = { ...last, content: texts.others };
  return asked(texts.text, [...others, [name, [...turns.slice(0, -1), withoutText]]]);
}

function asked(text: string, rest: readonly [string, unknown][]): Question | null {
  const trimmed = text.trim().replace(/\s+/g, ' ');
  const normal = normalForm(Object.fromEntries(rest), 0);
  return trimmed === '' || normal === null ? null : { text: trimmed, rest: normal };
}

/** The text of a turn, and what else is in it: pictures and files are compared exactly. */
function textsOf(content: unknown): { text: string; others: unknown[] } | null {
  if (typeof content === 'string') return { text: content, others: [] };
  if (!Array.isArray(content)) return null;
  const texts: string[] = [];
  const others: unknown[] = [];
  for (const part of content as readonly unknown[]) {
    const text = typeof part === 'object' && part !== null ? (part as { text?: unknown }).text : undefined;
    if (typeof text === 'string') texts.push(text);
    else others.push(part);
  }
  return { text: texts.join('\n'), others };
}
