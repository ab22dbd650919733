/** Nano-dollars in a US dollar. Money is an integer count of these, as bigint. */
export const nanoPerUsd = 1_000_000_000n;

/**
 * @param nanoUsd an amount in nano-dollars, of either sign.
 * @returns it in US dollars as an exact decimal with nine places, such as `0.001234567`.
 */
export function usdFromNano(nanoUsd: bigint): string {
  const sign = nanoUsd < 0n ? '-' : '';
  const digits = (nanoUsd < 0n ? -nanoUsd : nanoUsd).toString().padStart(10, '0');
  return `${sign}${digits.slice(0, -9)}.${digits.slice(-9)}`;
}

/**
 * The catalogue's prices are JavaScript numbers. Their shortest decimal form is what was written in the catalogue
 * (0.15 is 0.15), so that form is the price and no arithmetic is done on the number itself. Plain digits are taken as
 * they are.
 * @returns plain digits without an exponent, such as `0.075`.
 * @throws RangeError when it is negative, not finite, or a text that is not plain digits.
 */
export function decimalOf(value: number | string): string {
  if (typeof value === 'string') {
    if (!/^\d+(\.\d+)?$/.test(value)) throw new RangeError(`${value} is not a price`);
    return value;
  }
  if (!Number.isFinite(value) || value < 0) throw new RangeError(`${value} is not a price`);
  const [mantissa = '0', exponent] = String(value).split('e');
  if (exponent === undefined) return mantissa;
  const [whole = '0', fraction = ''] = mantissa.split('.');
  const shift = Number(exponent);
  if (shift < 0) return `0.${'0'.repeat(-shift - whole.length)}${whole}${fraction}`;
  return `${whole}${fraction.padEnd(shift, '0').slice(0, shift)}`;
}

/**
 * @param decimal plain digits, as `decimalOf` gives them.
 * @param places how many decimal places the result counts in.
 * @returns `decimal` × 10^places as an integer, rounded half up where it has more places than that.
 */
export function scaled(decimal: string, places: number): bigint {
  const [whole = '0', fraction = ''] = decimal.split('.');
  const kept = BigInt(`${whole}${fraction.padEnd(places, '0').slice(0, places)}`);
  return Number(fraction[places] ?? '0') >= 5 ? kept + 1n : kept;
}
