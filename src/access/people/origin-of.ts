import type { FastifyRequest } from '../../platform/api.ts';
import { AppError } from '../../platform/errors.ts';

const loopback = /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?$/;

/**
 * Where browsers reach this server: scheme, host and port. What a request says of that is believed for loopback only.
 * @throws AppError `conflict` when it was not configured and is not loopback.
 */
export function originOf(request: FastifyRequest, publicUrl: string | null): string {
  if (publicUrl !== null) return new URL(publicUrl).origin;
  const { host } = request.headers;
  if (host !== undefined && loopback.test(host)) return `http://${host}`;
  throw new AppError('conflict', 'Set GATEHOUSE_PUBLIC_URL, so that this server knows its own address.');
}
