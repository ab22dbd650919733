import type { Api } from '../platform/api.ts';
import { AppError } from '../platform/errors.ts';
import { endOfString } from '../platform/json-text.ts';

/** Nothing that a route takes is nested so deep. */
const maxDepth = 100;
/** A shorter text is parsed in an instant, however deep it is, so that nothing is looked for in it. */
const harmlessLength = 16 * 1024;

/**
 * JSON bodies, where a route that takes none lets an empty one pass: clients set the content type once for all of their
 * requests, `DELETE` too. What would change the prototype of objects is refused, and so is what is nested very deep: a
 * mebibyte of brackets would keep everybody else waiting for a fifth of a second, and strangers may send it.
 */
export function takeJson(api: Api): void {
  const parse = api.getDefaultJsonParser('error', 'error');
  api.removeContentTypeParser('application/json');
  api.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    const text = body as string;
    if (text.length === 0 && request.routeOptions.schema?.body === undefined) done(null, undefined);
    else if (text.length > harmlessLength && isDeeperThan(text, maxDepth)) {
      done(new AppError('bad_request', `The JSON is nested deeper than ${maxDepth} levels.`));
    } else parse(request, text, done);
  });
}

function isDeeperThan(text: string, most: number): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text[at]) {
      case '{':
      case '[':
        if (++depth > most) return true;
        break;
      case '}':
      case ']':
        depth--;
        break;
      case '"':
        at = endOfString(text, at);
    }
  }
  return false;
}
