import type { Api } from '../platform/api.ts';

/**
 * JSON bodies, where a route that takes none lets an empty one pass: clients set the content type once for all of their
 * requests, `DELETE` too.
 */
export function takeJson(api: Api): void {
  const parse = api.getDefaultJsonParser('error', 'error');
  api.removeContentTypeParser('application/json');
  api.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body.length === 0 && request.routeOptions.schema?.body === undefined) done(null, undefined);
    else parse(request, body as string, done);
  });
}
