import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readServerSentEvents, type ServerSentEvent } from './server-sent-events.ts';

async function read(parts: readonly Uint8Array[]): Promise<ServerSentEvent[]> {
  async function* stream() {
    yield* parts;
  }
  const events: ServerSentEvent[] = [];
  for await (const event of readServerSentEvents(stream())) events.push(event);
  return events;
}

const encode = (text: string) => new TextEncoder().encode(text);

describe('an event stream', () => {
  it('has names, comments, and data over several lines', async () => {
    expect(await read([encode(': hello\n\nevent: delta\ndata: a\ndata: b\n\ndata:c\n\nid: 1\n\n')])).toEqual([
      { event: 'delta', data: 'a\nb' },
      { event: 'message', data: 'c' },
    ]);
  });

  it('drops an event that was cut off', async () => {
    expect(await read([encode('data: whole\n\ndata: half')])).toEqual([{ event: 'message', data: 'whole' }]);
  });

  it('is read alike however it is cut up and whatever ends its lines', async () => {
    const line = fc.string({ unit: 'grapheme' }).map((text) => text.replace(/[\r\n]/g, ' '));
    const event = fc.record({
      event: fc.constantFrom('delta', 'done'),
      lines: fc.array(line, { minLength: 1, maxLength: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(event, { maxLength: 5 }),
        fc.constantFrom('\n', '\r\n', '\r'),
        fc.infiniteStream(fc.integer({ min: 1, max: 7 })),
        async (events, lineEnd, sizes) => {
          const text = events
            .map(
              (e) =>
                `event: ${e.event}${lineEnd}${e.lines.map((l) => `data: ${l}${lineEnd}`).join('')}${lineEnd}`,
            )
            .join('');
          // A lone final carriage return could still become a line end of two characters.
          const bytes = encode(lineEnd === '\r' ? `${text}: end` : text);
          const parts: Uint8Array[] = [];
          for (let at = 0; at < bytes.length; ) {
            const size = sizes.next().value ?? 1;
            parts.push(bytes.subarray(at, at + size));
            at += size;
          }
          expect(await read(parts)).toEqual(
            events.map((e) => ({ event: e.event, data: e.lines.join('\n') })),
          );
        },
      ),
    );
  });

  it('refuses one that never ends', async () => {
    const part = encode('x'.repeat(1024 * 1024));
    await expect(read([part, part, part, part, part])).rejects.toThrow('too large');
  });
});
