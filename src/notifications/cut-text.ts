/** The beginning of a text, at most `most` UTF-16 units, without half a character at its end. */
export function cut(text: string, most: number): string {
  if (text.length <= most) return text;
  const end = most - 1;
  const code = text.charCodeAt(end - 1);
  const half = code >= 0xd800 && code <= 0xdbff;
  return `${text.slice(0, half ? end - 1 : end)}…`;
}
