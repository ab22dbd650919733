import type { Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';

const decoders: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
};

/**
 * Opens what undoes a reply's compression, which some providers and proxies apply without having been asked. It gives
 * pieces of some 16 KiB as they are read, so whoever bounds what comes out of it is safe from a small body that unfolds
 * into gigabytes.
 * @param encoding the `content-encoding` header.
 * @returns null when there is nothing to undo; undefined for an encoding that is not known, or several on one another.
 */
export function openDecoder(encoding: string | string[] | undefined): Transform | null | undefined {
  if (encoding === undefined || encoding === '' || encoding === 'identity') return null;
  const name = String(encoding).trim().toLowerCase();
  return name === 'identity' ? null : decoders[name]?.();
}
