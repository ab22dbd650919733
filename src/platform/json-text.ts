/**
 * Where a string in a JSON text ends, found without reading what is in it.
 * @param from where its first quotation mark stands.
 * @returns where its last one stands, or the end of the text.
 */
export function endOfString(text: string, from: number): number {
  for (let end = text.indexOf('"', from + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let before = end;
    while (text[before - 1] === '\\') before--;
    // An even number of backslashes are escaped themselves and leave the mark alone.
    if ((end - before) % 2 === 0) return end;
  }
  return text.length;
}
