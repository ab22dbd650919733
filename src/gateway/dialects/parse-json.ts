import { isDeeperThan } from './json-spans.ts';

/** Schemas of tools are the deepest that is seen, with some 20 levels; parsers in other languages take 1,000 at most. */
export const maxDepth = 500;
/** A shorter text is parsed in an instant, however deep it is, so that nothing is looked for in it. */
const harmlessBytes = 16 * 1024;

export class NestedTooDeep extends SyntaxError {}

/**
 * JSON from a caller or a provider. What is nested millions deep is not parsed: it would take seconds, during which nobody
 * else is served, and gigabytes.
 * @throws SyntaxError when it is not JSON; NestedTooDeep beyond `maxDepth` levels.
 */
export function parseJson(bytes: Buffer): unknown {
  if (bytes.length > harmlessBytes && isDeeperThan(bytes, maxDepth))
    throw new NestedTooDeep(`The JSON is nested deeper than ${maxDepth} levels.`);
  return JSON.parse(bytes.toString('utf8'));
}
