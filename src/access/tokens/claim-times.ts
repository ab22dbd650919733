/** How far clocks of our own instances may be apart, in seconds. */
export const skewSeconds = 60;

/**
 * Whether a token counts now, by `exp`, `nbf` and `iat` (RFC 7519, 4.1.4 to 4.1.6; seconds since 1970). One without an end is
 * refused, and one made in the future, too.
 * @param skew how far the clock that it was made by may be from ours, in seconds.
 */
export function countsNow(
  claims: Readonly<Record<string, unknown>>,
  nowMs: number,
  skew: number = skewSeconds,
): boolean {
  const { exp, nbf, iat } = claims;
  const now = nowMs / 1000;
  if (!isMoment(exp) || exp <= now - skew) return false;
  if (nbf !== undefined && !(isMoment(nbf) && nbf <= now + skew)) return false;
  return iat === undefined || (isMoment(iat) && iat <= now + skew);
}

function isMoment(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

/** `aud` is one text or several (RFC 7519, 4.1.3). */
export function isFor(claims: Readonly<Record<string, unknown>>, audiences: readonly string[]): boolean {
  const { aud } = claims;
  const named: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  return named.some((one) => typeof one === 'string' && audiences.includes(one));
}
