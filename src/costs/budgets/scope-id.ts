import type { BudgetScope } from './budget.ts';

/** What callers may say that a call is made for: an id or a name. */
export const promptPattern = /^[\x21-\x7e]{1,100}$/;
/** No comma, because it parts them in the header. */
export const tagPattern = /^[A-Za-z0-9][A-Za-z0-9 _.:/=@+-]{0,63}$/;
const uuidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * @returns why a budget cannot be of that, or null when it can. Only what calls can say is taken: a budget that no call
 *   ever falls under would look like one that holds.
 */
export function faultOfScopeId(scope: BudgetScope, scopeId: string | null): string | null {
  if (scope === 'tenant') return scopeId === null ? null : 'must be left out: the scope is all of the tenant';
  if (scopeId === null) return `must name the ${scope} that the budget is of`;
  switch (scope) {
    case 'user':
      return uuidPattern.test(scopeId) ? null : "must be a user's id";
    case 'key':
      return scopeId.length <= 100 ? null : "must be a key's id";
    case 'prompt':
      return promptPattern.test(scopeId) ? null : 'must be at most 100 printable characters without blanks';
    case 'model':
      return /^\S{1,200}$/.test(scopeId)
        ? null
        : "must be a route's name, or a model's as its provider knows it, without the provider";
    case 'tag':
      return tagPattern.test(scopeId)
        ? null
        : 'must be letters, digits, blanks and _ . : / = @ + -, at most 64, beginning with a letter or digit';
  }
}
