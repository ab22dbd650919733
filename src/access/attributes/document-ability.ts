import { Ability, buildMongoQueryMatcher } from '@casl/ability';
import { rulesToAST } from '@casl/ability/extra';
import type { Condition, Operand, Operator, Scalar } from './condition.ts';

/** What conditions may say of a document; `createdAt` and the like are text, as the interface writes them. */
export interface DocumentFacts {
  readonly owner: string;
  readonly created_at: string;
  /** Whatever else than strings, numbers and booleans is in it, nothing compares with. */
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** Somebody reads a document, at some time. */
export interface Reading {
  readonly document: DocumentFacts;
  /** Their attributes, and `id`, `role` and `groups`. */
  readonly reader: Readonly<Record<string, unknown>>;
  readonly nowMs: number;
}

/** One comparison, as the library's parser gives it. */
export interface Comparison {
  readonly field: string;
  readonly operator: 'eq' | 'ne' | 'lt' | 'lte' | 'gt' | 'gte' | 'in' | 'nin' | 'exists';
  readonly value: Operand | readonly Scalar[];
}
export type Tree = Comparison | { readonly operator: 'and' | 'or'; readonly value: readonly Tree[] };

const operators: readonly Operator[] = ['$eq', '$ne', '$lt', '$lte', '$gt', '$gte', '$in', '$nin', '$exists'];
// Conditions have been read (see `readCondition`) before they come here.
const asItStands = { type: 'field' } as const;
const decide = (comparison: object, reading: Reading) => holds(comparison as Comparison, reading);

interface Parts {
  readonly value: readonly never[];
}
type Interpret = { readonly interpret: (part: never, reading: Reading) => boolean };

const rulesMatcher = buildMongoQueryMatcher(
  {
    ...Object.fromEntries(operators.map((operator) => [operator, asItStands])),
    $and: { type: 'compound' },
    $or: { type: 'compound' },
  },
  {
    ...Object.fromEntries(operators.map((operator) => [operator.slice(1), decide])),
    and: ({ value }: Parts, reading: Reading, { interpret }: Interpret) =>
      value.every((part) => interpret(part, reading)),
    or: ({ value }: Parts, reading: Reading, { interpret }: Interpret) =>
      value.some((part) => interpret(part, reading)),
  },
);

/** What a role with this condition lets its holders do with documents: the rule as the library keeps it. */
export function documentAbility(condition: Condition) {
  return new Ability<['read', 'document' | Reading], Condition>(
    [{ action: 'read', subject: 'document', conditions: condition }],
    {
      conditionsMatcher: (conditions) => rulesMatcher(conditions as Record<string, object>),
      detectSubjectType: () => 'document',
    },
  );
}

/** The condition as a tree of comparisons, for whatever decides it elsewhere. */
export function treeOf(condition: Condition): Tree {
  const tree = rulesToAST(documentAbility(condition), 'read', 'document');
  if (tree === null) throw new Error('a rule without a condition');
  return tree as unknown as Tree;
}

/** @returns whether a comparison holds. One with something that is not there, or of another kind, does not. */
function holds({ field, operator, value }: Comparison, reading: Reading): boolean {
  const fact = factOf(field, reading.document);
  if (operator === 'exists') return (fact !== undefined) === value;
  if (fact === undefined) return false;
  const other = operandIn(value, reading);
  if (operator === 'in') return isList(other) && isAmong(fact, other) === true;
  if (operator === 'nin') return isList(other) && isAmong(fact, other) === false;
  const order = orderOf(fact, other);
  if (order === null) return false;
  switch (operator) {
    case 'eq':
      return order === 0;
    case 'ne':
      return order !== 0;
    case 'lt':
      return order < 0;
    case 'lte':
      return order <= 0;
    case 'gt':
      return order > 0;
    case 'gte':
      return order >= 0;
  }
}

/** @returns undefined for what is not there, or null. */
function factOf(field: string, document: DocumentFacts): unknown {
  const member = field.startsWith('metadata.') ? field.slice('metadata.'.length) : null;
  const from: object = member === null ? document : document.metadata;
  const name = member ?? field;
  return Object.hasOwn(from, name) ? ((from as Record<string, unknown>)[name] ?? undefined) : undefined;
}

function operandIn(value: Comparison['value'], { reader, nowMs }: Reading): unknown {
  if (typeof value !== 'object' || isList(value)) return value;
  if ('$now' in value) return new Date(nowMs + value.$now * 1_000).toISOString();
  return Object.hasOwn(reader, value.$reader) ? reader[value.$reader] : undefined;
}

const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value);

/** @returns null when it cannot be told, because something in the list is of another kind. */
function isAmong(fact: unknown, list: readonly unknown[]): boolean | null {
  const orders = list.map((value) => orderOf(fact, value));
  return orders.includes(null) ? null : orders.includes(0);
}

/** @returns null for what has no order: values of different kinds, and what is no string, number or boolean. */
function orderOf(one: unknown, other: unknown): number | null {
  if (typeof one !== typeof other) return null;
  // By code points, as PostgreSQL does, and not by UTF-16 code units.
  if (typeof one === 'string') return Buffer.compare(Buffer.from(one), Buffer.from(other as string));
  if (typeof one === 'number' || typeof one === 'boolean') return Number(one) - Number(other);
  return null;
}
