import { AppError } from '../../platform/errors.ts';

export type Scalar = string | number | boolean;
/** What a fact of a document is compared with. */
export type Operand =
  | Scalar
  /** What is known of whoever reads, by its name. */
  | { readonly $reader: string }
  /** The time now, or so many seconds from now, as text. */
  | { readonly $now: number };

/**
 * A condition in the one form that is decided: every negation has been brought to the comparison that it is of, and each
 * test is one comparison of one fact. A comparison holds only when both sides are there and of one kind; so whatever is
 * missing, what is compared with it is false, negated or not.
 */
export type Condition =
  | { readonly $and: readonly Condition[] }
  | { readonly $or: readonly Condition[] }
  | { readonly [field: string]: Test };
export type Test = { readonly [operator in Operator]?: Operand | readonly Scalar[] };

/** Each with what its negation is. */
const negated = {
  $eq: '$ne',
  $ne: '$eq',
  $lt: '$gte',
  $gte: '$lt',
  $gt: '$lte',
  $lte: '$gt',
  $in: '$nin',
  $nin: '$in',
  $exists: '$exists',
} as const;
export type Operator = keyof typeof negated;

/** Facts of a document beside members of its metadata. */
const factsOfDocuments: readonly string[] = ['owner', 'created_at'];
const metadataPrefix = 'metadata.';

const most = { bytes: 16_384, depth: 8, comparisons: 100, list: 100, text: 1_000, nameOfReader: 63 };
/** Ten years. */
const furthestSeconds = 315_576_000;

/**
 * Reads a condition as it is sent.
 * @param at where it stands in what was sent.
 * @throws AppError `invalid` that names the place, and what may stand there.
 */
export function readCondition(given: unknown, at: string): Condition {
  if (JSON.stringify(given).length > most.bytes) refuse(at, `must have at most ${most.bytes} characters`);
  return conditionIn(given, { at, isNegated: false, depth: 1, count: { comparisons: 0 } });
}

interface Place {
  readonly at: string;
  readonly isNegated: boolean;
  readonly depth: number;
  readonly count: { comparisons: number };
}

function conditionIn(given: unknown, place: Place): Condition {
  const { at, isNegated, depth } = place;
  if (depth > most.depth) refuse(at, `must be at most ${most.depth} deep`);
  const members = isObject(given) ? Object.entries(given) : [];
  if (members.length === 0) refuse(at, 'must be an object with at least one member');
  const all = members.map(([name, value]) => memberIn(name, value, { ...place, at: `${at}.${name}` }));
  return joined(isNegated ? '$or' : '$and', all);
}

function memberIn(name: string, value: unknown, place: Place): Condition {
  const { at, isNegated, depth } = place;
  if (name === '$not') return conditionIn(value, { ...place, isNegated: !isNegated, depth: depth + 1 });
  if (name === '$and' || name === '$or') {
    if (!Array.isArray(value) || value.length === 0) return refuse(at, 'must be a list of conditions');
    const parts = value.map((part, index) =>
      conditionIn(part, { ...place, at: `${at}.${index}`, depth: depth + 1 }),
    );
    return joined((name === '$and') === isNegated ? '$or' : '$and', parts);
  }
  return testsIn(fieldNamed(name, at), value, place);
}

function joined(how: '$and' | '$or', parts: readonly Condition[]): Condition {
  const [only, ...others] = parts;
  if (only !== undefined && others.length === 0) return only;
  return how === '$and' ? { $and: parts } : { $or: parts };
}

function fieldNamed(name: string, at: string): string {
  if (factsOfDocuments.includes(name)) return name;
  const member = name.startsWith(metadataPrefix) ? name.slice(metadataPrefix.length) : '';
  if (member.length >= 1 && member.length <= 100 && isStorable(member)) return name;
  return refuse(
    at,
    `must be ${factsOfDocuments.join(', ')}, metadata.<member>, $and, $or or $not; metadata.region, not region`,
  );
}

/** `{"owner": …}` in short is `{"owner": {"$eq": …}}`. */
function testsIn(field: string, value: unknown, place: Place): Condition {
  const isShort = !isObject(value) || '$reader' in value || '$now' in value;
  const tests = Object.entries(isShort ? { $eq: value } : value);
  if (tests.length === 0) refuse(place.at, 'must have an operator');
  const all = tests.map(([operator, operand]): Condition => {
    const at = isShort ? place.at : `${place.at}.${operator}`;
    place.count.comparisons++;
    if (place.count.comparisons > most.comparisons)
      refuse(at, `is one comparison more than ${most.comparisons}`);
    if (!isOperator(operator)) return refuse(at, `must be one of ${Object.keys(negated).join(', ')}`);
    const compared = operandOf(operator, operand, at);
    const decided = place.isNegated ? negated[operator] : operator;
    if (decided !== '$in' && isGroups(compared)) {
      // Whoever makes a key may give it fewer groups than they have, and must not give it more to read by that.
      refuse(at, 'must not ask for whoever is not in a group, or is one: groups stand with $in only');
    }
    return { [field]: { [decided]: place.isNegated && operator === '$exists' ? !compared : compared } };
  });
  return joined(place.isNegated ? '$or' : '$and', all);
}

function operandOf(operator: Operator, given: unknown, at: string): Operand | readonly Scalar[] {
  if (operator === '$exists') return typeof given === 'boolean' ? given : refuse(at, 'must be true or false');
  if (isObject(given) && '$reader' in given) return readerNamed(given, at);
  if (operator === '$in' || operator === '$nin') return listOf(given, at);
  if (isObject(given) && '$now' in given) return timeOf(given, at);
  if (!isScalar(given))
    return refuse(at, 'must be a string, a number, true, false, {"$reader": …} or {"$now": …}');
  const ordered = operator !== '$eq' && operator !== '$ne';
  if (ordered && typeof given === 'boolean')
    return refuse(at, 'must be a string or a number: these have an order');
  return given;
}

function listOf(given: unknown, at: string): readonly Scalar[] {
  if (!Array.isArray(given) || given.length === 0 || given.length > most.list) {
    return refuse(at, `must be a list of 1 to ${most.list} values, or {"$reader": …}`);
  }
  return given.map((value, index) => {
    if (!isScalar(value)) return refuse(`${at}.${index}`, 'must be a string, a number, true or false');
    // Values of different kinds are not comparable, so "not among them" would never hold.
    if (typeof value !== typeof given[0])
      return refuse(`${at}.${index}`, 'must be of the same kind as the first');
    return value;
  });
}

function readerNamed(given: object, at: string): Operand {
  const { $reader: name, ...others } = given as { $reader: unknown };
  const isName =
    typeof name === 'string' && name !== '' && name.length <= most.nameOfReader && isStorable(name);
  if (!isName || Object.keys(others).length > 0) {
    return refuse(
      at,
      'must be {"$reader": <name of an attribute, or id, role, groups>} and nothing beside it',
    );
  }
  return { $reader: name };
}

function timeOf(given: object, at: string): Operand {
  const { $now: seconds, ...others } = given as { $now: unknown };
  const isTime = Number.isInteger(seconds) && Math.abs(seconds as number) <= furthestSeconds;
  if (!isTime || Object.keys(others).length > 0) {
    return refuse(at, 'must be {"$now": <whole seconds from now, 0 for now>} and nothing beside it');
  }
  return { $now: (seconds as number) + 0 };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isGroups(compared: Operand | readonly Scalar[]): boolean {
  return isObject(compared) && '$reader' in compared && compared.$reader === 'groups';
}

function isOperator(name: string): name is Operator {
  return Object.hasOwn(negated, name);
}

function isScalar(value: unknown): value is Scalar {
  if (typeof value === 'string') return value.length <= most.text && isStorable(value);
  return typeof value === 'boolean' || Number.isFinite(value);
}

/** What PostgreSQL can hold as text. */
function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0');
}

function refuse(path: string, message: string): never {
  throw new AppError('invalid', `The condition cannot be read: ${path} ${message}.`, {
    errors: [{ path, message }],
  });
}
