import fc from 'fast-check';
import { readCondition } from '../../src/access/attributes/condition.ts';
import { AppError } from '../../src/platform/errors.ts';

/* Made-up conditions, and what they are about. */

/** Few names and values, so that they meet; and such as would show a mistake in quoting, comparing or looking up. */
const members = ['region', 'level', 'a.b', 'quo"te', "it's", '$now', '__proto__', 'naïve', '\\', ' '];
const texts = [
  '',
  'eu',
  'us',
  'EU',
  '10',
  '9',
  'é',
  'e\u0301',
  '\u{1f512}',
  '\uffff',
  "'; drop table documents; --",
  '" || true || "',
  '$reader',
  '%',
  'true',
  '2026-01-01T00:00:00.000Z',
  'user:somebody',
];
const numbers = [0, 1, 2, -1, 0.1, 0.30000000000000004, 1e21, -5e-324, 9_007_199_254_740_991];
const scalar = fc.oneof(fc.constantFrom(...texts), fc.constantFrom(...numbers), fc.boolean());
const odd = fc.oneof(
  fc.constant(null),
  fc.array(scalar, { maxLength: 2 }),
  fc.dictionary(fc.constantFrom(...members), scalar, { maxKeys: 1 }),
);
export const metadata = fc.dictionary(
  fc.constantFrom(...members),
  fc.oneof({ weight: 5, arbitrary: scalar }, { weight: 1, arbitrary: odd }),
  { maxKeys: 7 },
);
/** Of a reader; also such as the interface would refuse. */
export const attributes = fc.dictionary(
  fc.constantFrom(...members, 'id', 'groups'),
  fc.oneof(
    { weight: 4, arbitrary: scalar },
    { weight: 2, arbitrary: fc.array(fc.constantFrom(...texts), { maxLength: 3 }) },
    { weight: 1, arbitrary: fc.oneof(fc.constant(null), fc.array(scalar, { maxLength: 3 })) },
  ),
  { maxKeys: 8 },
);

const ofReader = fc.constantFrom(...members, 'id', 'role').map(($reader) => ({ $reader }));
const ofTime = fc.constantFrom(0, -86_400, 86_400, -315_576_000).map(($now) => ({ $now }));
const listOfOneKind = fc.oneof(
  fc.array(fc.constantFrom(...texts), { minLength: 1, maxLength: 4 }),
  fc.array(fc.constantFrom(...numbers), { minLength: 1, maxLength: 4 }),
);
const tests = fc.oneof(
  fc.tuple(fc.constantFrom('$eq', '$ne'), fc.oneof(scalar, ofReader, ofTime)),
  fc.tuple(
    fc.constantFrom('$lt', '$lte', '$gt', '$gte'),
    fc.oneof(fc.constantFrom(...texts), fc.constantFrom(...numbers), ofReader, ofTime),
  ),
  fc.tuple(fc.constantFrom('$in', '$nin'), fc.oneof(listOfOneKind, ofReader)),
  fc.tuple(fc.constant('$in'), fc.constant({ $reader: 'groups' })),
  fc.tuple(fc.constant('$exists'), fc.boolean()),
);
const fields = [...members.map((member) => `metadata.${member}`), 'owner', 'created_at'];
const comparison = fc
  .tuple(fc.constantFrom(...fields), fc.array(tests, { minLength: 1, maxLength: 2 }))
  .map(([field, of]) => ({ [field]: Object.fromEntries(of) }));
/** As it would be sent. */
export const { condition } = fc.letrec<{ condition: object }>((tie) => ({
  condition: fc.oneof(
    { maxDepth: 3 },
    comparison,
    fc.array(tie('condition'), { minLength: 1, maxLength: 3 }).map(($and) => ({ $and })),
    fc.array(tie('condition'), { minLength: 1, maxLength: 3 }).map(($or) => ({ $or })),
    tie('condition').map(($not) => ({ $not })),
    fc.tuple(comparison, comparison).map(([one, other]) => ({ ...one, ...other })),
  ),
}));

/** The one thing of those that are made up here which cannot be asked for: see `readCondition`. */
export function asksForNoGroup(given: object): boolean {
  try {
    readCondition(given, 'condition');
    return false;
  } catch (error) {
    if (error instanceof AppError && error.message.includes('groups stand with $in only')) return true;
    throw error;
  }
}
