import type { Clock } from './clock.ts';
import type { Random } from './random.ts';

/** Makes identifiers: UUID version 7 (RFC 9562), so that they sort by the time they were made. */
export type NewId = () => string;

const hex: string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/**
 * @returns a function giving UUIDv7 strings: 48 bits of Unix milliseconds, 12 bits that count within the millisecond
 * from a random start (RFC 9562, section 6.2, method 1), 62 random bits. So ids made in one process sort in the order in
 * which they were made, and so do rows of one instant. Random bytes are drawn 4 KiB at a time, because one call per id
 * costs more than the rest of the work.
 */
export function createIds(clock: Pick<Clock, 'now'>, random: Pick<Random, 'bytes'>): NewId {
  let pool: Buffer = Buffer.alloc(0);
  let at = 0;
  let lastMs = 0;
  let count = 0;
  const h = (byte: number | undefined) => hex[byte ?? 0];

  /** The next 12-bit count; when a millisecond has no more, the next millisecond is begun early. */
  const advance = (start: number): void => {
    const nowMs = clock.now().getTime();
    if (nowMs > lastMs) {
      lastMs = nowMs;
      count = start;
    } else if (count < 0xfff) {
      count++;
    } else {
      lastMs++;
      count = start;
    }
  };

  return () => {
    if (at + 10 > pool.length) {
      pool = random.bytes(4096);
      at = 0;
    }
    const r = pool.subarray(at, at + 10);
    at += 10;
    // Half of the range is left to count in.
    advance((((r[0] ?? 0) << 8) | (r[1] ?? 0)) & 0x7ff);
    const time = lastMs.toString(16).padStart(12, '0');
    const variant = 0x80 | ((r[2] ?? 0) & 0x3f);
    return (
      `${time.slice(0, 8)}-${time.slice(8, 12)}-7${count.toString(16).padStart(3, '0')}-${h(variant)}${h(r[3])}-` +
      `${h(r[4])}${h(r[5])}${h(r[6])}${h(r[7])}${h(r[8])}${h(r[9])}`
    );
  };
}

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Whether `text` can be given to PostgreSQL as a uuid. */
export function isUuid(text: string): boolean {
  return uuidPattern.test(text);
}
