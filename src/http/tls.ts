import { readFileSync } from 'node:fs';
import type { Server } from 'node:https';
import { createSecureContext } from 'node:tls';
import type { Clock } from '../platform/clock.ts';
import { AppError } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';

/** Files in PEM; the certificate with those between it and its root. */
export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
}

export interface TlsPair {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly minVersion: 'TLSv1.3';
}

/** How often the files are looked at: certificates are renewed weeks before they expire. */
const lookEveryMs = 10_000;

/** @throws AppError `config_invalid` when a file cannot be read, or the two do not belong together. */
export function readTls(files: TlsFiles): TlsPair {
  try {
    const pair: TlsPair = {
      cert: readFileSync(files.certificate),
      key: readFileSync(files.key),
      minVersion: 'TLSv1.3',
    };
    createSecureContext(pair);
    return pair;
  } catch (cause) {
    throw new AppError(
      'config_invalid',
      `TLS_CERT_FILE and TLS_KEY_FILE must name a certificate and its key in PEM: ${(cause as Error).message}`,
      { cause },
    );
  }
}

/**
 * Takes up a renewed certificate when its files change. Connections that stand keep theirs; new ones get the new one. A
 * pair that does not fit, as while one of the two files is written, is left aside until it does.
 * @returns what ends the watch.
 */
export function watchTls(
  server: Pick<Server, 'setSecureContext'>,
  files: TlsFiles,
  first: TlsPair,
  clock: Pick<Clock, 'sleep'>,
  log: Log,
  everyMs = lookEveryMs,
): () => Promise<void> {
  const stopping = new AbortController();
  let current = first;
  const look = () => {
    const pair = readTls(files);
    if (pair.cert.equals(current.cert) && pair.key.equals(current.key)) return;
    server.setSecureContext(pair);
    current = pair;
    log.info({}, 'the certificate was renewed');
  };
  const watching = (async () => {
    while (!stopping.signal.aborted) {
      await clock.sleep(everyMs, stopping.signal).catch(() => {});
      if (stopping.signal.aborted) return;
      try {
        look();
      } catch (error) {
        log.warn({ err: error }, 'the certificate cannot be renewed; the one before stays');
      }
    }
  })();
  return async () => {
    stopping.abort();
    await watching;
  };
}
