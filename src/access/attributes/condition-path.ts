import type { Condition, Scalar } from './condition.ts';
import { type Comparison, type Tree, treeOf } from './document-ability.ts';

/** A condition as PostgreSQL decides it: see `document_facts` and `reader_facts` in migrations/0023. */
export interface CompiledCondition {
  /** A predicate of SQL/JSON path language. */
  readonly path: string;
  /** The times it speaks of, in seconds from now, each once. */
  readonly times: readonly number[];
}

/**
 * Compiles a condition for `jsonb_path_match(facts, path, {"reader": …, "now": …})`. In strict mode a comparison with
 * something that is not there, or of another kind, is unknown; nothing in a condition negates (see `Condition`), so that
 * unknown never becomes true.
 */
export function compileCondition(condition: Condition): CompiledCondition {
  const times = new Set<number>();
  return { path: `strict ${pathOf(treeOf(condition), times)}`, times: [...times].sort((a, b) => a - b) };
}

function pathOf(tree: Tree, times: Set<number>): string {
  if (!('field' in tree)) {
    const parts = tree.value.map((part) => pathOf(part, times));
    return `(${parts.join(tree.operator === 'and' ? ' && ' : ' || ')})`;
  }
  return comparisonPath(tree, times);
}

const signs = { eq: '==', ne: '!=', lt: '<', lte: '<=', gt: '>', gte: '>=' } as const;

function comparisonPath({ field, operator, value }: Comparison, times: Set<number>): string {
  const fact = `$${field.startsWith('metadata.') ? memberPath('metadata', field.slice('metadata.'.length)) : memberPath(field)}`;
  switch (operator) {
    case 'exists':
      return value === true ? `exists(${fact})` : `(exists(${fact})) is unknown`;
    case 'in':
      return amongPath(fact, value);
    case 'nin':
      // Negated where it is decided, and still unknown of what is unknown.
      return `(exists(${fact}) && !${amongPath(fact, value)})`;
    default:
      return `(${fact} ${signs[operator]} ${operandPath(value, times)})`;
  }
}

function amongPath(fact: string, value: Comparison['value']): string {
  if (!Array.isArray(value)) return `(${fact} == ${operandPath(value, new Set())}[*])`;
  return `(${value.map((one) => `${fact} == ${literal(one)}`).join(' || ')})`;
}

function operandPath(value: Comparison['value'], times: Set<number>): string {
  if (typeof value !== 'object') return literal(value);
  if ('$reader' in value) return `$reader${memberPath(value.$reader)}`;
  if (!('$now' in value)) throw new Error('a list is compared by in and nin only');
  times.add(value.$now);
  return `$now${memberPath(String(value.$now))}`;
}

/** Strings and numbers of JSON are those of the path language, too. */
function literal(value: Scalar): string {
  return typeof value === 'number' && value < 0 ? `(${JSON.stringify(value)})` : JSON.stringify(value);
}

function memberPath(...names: readonly string[]): string {
  return names.map((name) => `.${JSON.stringify(name)}`).join('');
}
