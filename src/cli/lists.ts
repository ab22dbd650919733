/** The parts of `a, b,c`, without empty ones; undefined stays undefined, so that the server's default holds. */
export function commaList(text: string | undefined): string[] | undefined {
  if (text === undefined) return undefined;
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
