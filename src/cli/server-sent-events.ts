/** One event of a `text/event-stream`, as the HTML standard describes its format. */
export interface ServerSentEvent {
  /** `message` when the stream names none. */
  readonly event: string;
  readonly data: string;
}

/** An event larger than this is not one of ours; reading on would only fill memory. */
const largestEvent = 4 * 1024 * 1024;

/**
 * Reads events as they arrive. An event cut off by the end of the stream is dropped, as the standard asks.
 * @throws Error when an event grows beyond 4 Mi characters.
 */
export async function* readServerSentEvents(
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<ServerSentEvent> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const part of body) {
    rest += decoder.decode(part, { stream: true });
    // A carriage return at the very end may be half of a line end: it waits for what follows.
    const held = rest.endsWith('\r') ? '\r' : '';
    rest = rest.slice(0, rest.length - held.length).replace(/\r\n?/g, '\n');
    let end = rest.indexOf('\n\n');
    for (; end >= 0; end = rest.indexOf('\n\n')) {
      const event = parseEvent(rest.slice(0, end));
      rest = rest.slice(end + 2);
      if (event) yield event;
    }
    rest += held;
    if (rest.length > largestEvent)
      throw new Error('The server sent an event that is too large to be an answer.');
  }
}

function parseEvent(block: string): ServerSentEvent | null {
  let event = 'message';
  const data: string[] = [];
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') event = value;
    else if (field === 'data') data.push(value);
  }
  return data.length === 0 ? null : { event, data: data.join('\n') };
}
