import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { maxDepth } from '../dialects/parse-json.ts';
import { maxEventBytes } from '../sse-events.ts';
import { createStreamBound } from './stream-bound.ts';

const mebibyte = 1024 * 1024;
const types = {
  json: 'application/json',
  events: 'text/event-stream',
  frames: 'application/vnd.amazon.eventstream',
};

/** A frame of AWS event streams; nothing here looks at its checksums. */
function frame(payload: string, headers = Buffer.from([0x22, 0x7b, 0x5b])): Buffer {
  const body = Buffer.from(payload);
  const prelude = Buffer.alloc(12);
  prelude.writeUInt32BE(16 + headers.length + body.length, 0);
  prelude.writeUInt32BE(headers.length, 4);
  return Buffer.concat([prelude, headers, body, Buffer.from('[[[[')]);
}

const event = (data: string) => Buffer.from(`event: x\r\ndata: ${data}\r\n\r\n`);
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

/** Whether all of it is within the bounds, cut into pieces at these places. */
function holds(type: string, bytes: Buffer, cuts: readonly number[] = [], maxBytes = mebibyte): boolean {
  const bound = createStreamBound(type, maxBytes);
  const places = [0, ...[...cuts].sort((a, b) => a - b), bytes.length];
  return places.slice(1).every((end, n) => bound(bytes.subarray(places[n], end)));
}

describe('the bounds of a reply that a package reads', () => {
  it('are those of the whole reply, where it comes in one piece', () => {
    expect(holds(types.json, Buffer.alloc(1_000, 0x20), [10, 500], 1_000)).toBe(true);
    expect(holds(types.json, Buffer.alloc(1_001, 0x20), [10, 500], 1_000)).toBe(false);
  });

  it('are those of one event, however many lines it has', () => {
    const line = Buffer.from(`data: ${'x'.repeat(1_000)}\n`);
    const whole = Math.floor(maxEventBytes / line.length);
    const lines = Buffer.concat(Array.from({ length: whole }, () => line));
    expect(holds(types.events, Buffer.concat([lines, Buffer.from('\n'), lines]), [lines.length])).toBe(true);
    expect(holds(types.events, Buffer.concat([lines, lines]), [lines.length])).toBe(false);
    expect(holds(types.events, Buffer.alloc(maxEventBytes + 1, 0x78), [mebibyte])).toBe(false);
  });

  it('are those of one frame', () => {
    const large = Buffer.alloc(12);
    large.writeUInt32BE(3 * mebibyte, 0);
    expect(holds(types.frames, large)).toBe(false);
    expect(holds(types.frames, Buffer.alloc(12))).toBe(false);
    expect(holds(types.frames, Buffer.alloc(15, 1))).toBe(false);
    large.writeUInt32BE(0xff_ff_ff_ff, 0);
    expect(holds(types.frames, large)).toBe(false);
  });

  it.each([
    ['in a whole reply', types.json, (json: string) => Buffer.from(json)],
    [
      'in an event',
      types.events,
      (json: string) => Buffer.concat([event(nested(3)), event(json), event(json)]),
    ],
    ['in a frame', types.frames, (json: string) => Buffer.concat([frame('{}'), frame(json), frame(json)])],
  ])('are those of nesting, %s, wherever it is cut', (_where, type, bytesOf) => {
    const harmless = fc
      .array(fc.constantFrom('[', '{', '"', '\\', 'x'))
      .map((parts) => JSON.stringify(parts.join('')));
    fc.assert(
      fc.property(harmless, fc.array(fc.nat(), { maxLength: 5 }), (text, cuts) => {
        const deep = (depth: number) => bytesOf(`[${text},${nested(depth - 1)}]`);
        const within = (bytes: Buffer) => cuts.map((cut) => cut % bytes.length);
        expect(holds(type, deep(maxDepth), within(deep(maxDepth)))).toBe(true);
        expect(holds(type, deep(maxDepth + 1), within(deep(maxDepth + 1)))).toBe(false);
      }),
    );
  });
});
