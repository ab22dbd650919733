/**
 * Bytes of a text in base64url. Node reads it leniently: two texts may stand for the same bytes, and only one of them is
 * what was written. @throws Error for any other.
 */
export function exactBytes(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64url');
  if (bytes.toString('base64url') !== text) throw new Error('malformed');
  return bytes;
}
