import { invalidRequest } from './provider-error.ts';

/**
 * Width and height of a PNG given in base64; undefined for other formats. Throws ProviderError for what is not base64
 * at all. The size stands in a PNG's first chunk, eight bytes from its start each time.
 */
export function imageSize(
  base64: unknown,
  param: string,
): { readonly width: number; readonly height: number } | undefined {
  if (typeof base64 !== 'string' || !/^[A-Za-z0-9+/_-]+={0,2}$/u.test(base64)) {
    throw invalidRequest(`'${param}' must be an image in base64.`, param);
  }
  const start = Buffer.from(base64.slice(0, 64), 'base64');
  if (start.length < 24 || start.toString('latin1', 1, 4) !== 'PNG') return undefined;
  return { width: start.readUInt32BE(16), height: start.readUInt32BE(20) };
}
