/** What URLs drop or turn into slashes, and so what could make a path into another host. */
const suspicious = /[\\\p{Cc}\p{Cf}\s]/u;

/**
 * Where a browser goes once it is signed in: a path of this server, never another host (no open redirect).
 * @returns `/` for whatever is not plainly such a path.
 */
export function returnPath(wanted: string | undefined): string {
  if (wanted === undefined || wanted.length > 2_000 || suspicious.test(wanted)) return '/';
  if (!wanted.startsWith('/') || wanted.startsWith('//')) return '/';
  const here = 'http://here.invalid';
  if (!URL.canParse(wanted, here)) return '/';
  const url = new URL(wanted, here);
  // What dots resolve to can begin with two slashes again.
  if (url.origin !== here || url.pathname.startsWith('//')) return '/';
  return `${url.pathname}${url.search}${url.hash}`;
}
