/**
 * The form in which text is stored, and which every offset refers to: lines end in '\n', no character that
 * PostgreSQL refuses (NUL), no other control characters but tabs, no lone surrogates, no byte order mark.
 *
 * Deliberately not Unicode-normalised: text that is already clean is stored exactly as it came, so a position in
 * the owner's file is the same position in the stored text. Whoever matches words normalises both sides.
 *
 * Idempotent. Linear in the length of the text.
 */
export function cleanText(text: string): string {
  return (
    text
      .replace(/^\ufeff/, '')
      .toWellFormed()
      .replace(/\r\n?|[\u2028\u2029\u0085]/g, '\n')
      .replace(/[\f\v]/g, '\n')
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed here
      .replace(/[\u0000-\u0008\u000e-\u001f\u007f]/g, '')
  );
}
