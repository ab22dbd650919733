import type { CachedReply } from '../cache/index.ts';
import { AppError } from '../platform/errors.ts';
import type { Answer, ModelCall, StreamSink } from './model-call.ts';
import { EventSplitter } from './sse-events.ts';

/** As much of a stream as is handed over at once; whole events, so at least one. */
const maxWriteBytes = 16 * 1024;

/**
 * Gives an answer that is already known: a stream again as a stream, no faster than its reader takes it.
 * @returns the answer; of a stream its last event is still to be sent.
 * @throws AppError `client_gone` when the caller leaves in the middle.
 */
export async function replay(
  known: CachedReply,
  call: Pick<ModelCall, 'cancellation'>,
  sink: StreamSink,
): Promise<Answer> {
  const { contentType, headers, body } = known;
  const generatedBy = { ...known.generatedBy, tier: 'cached' };
  if (!known.streamed) return { kind: 'whole', status: 200, contentType, headers, body, generatedBy };
  const ends = new EventSplitter().push(body)?.ends ?? [];
  const { cancellation } = call;
  let goOn = () => {};
  cancellation.listen(() => goOn());
  sink.open({ contentType, headers, generatedBy }, () => goOn());
  let start = 0;
  // The last event is left for when the call has ended.
  for (let next = 0; next < ends.length - 1; ) {
    if (cancellation.reason === 'client') {
      throw new AppError('client_gone', 'The client closed the connection.');
    }
    let end = ends[next++] ?? 0;
    while (next < ends.length - 1 && (ends[next] ?? 0) - start <= maxWriteBytes) end = ends[next++] ?? end;
    // The reader may be ready again before this is waited for.
    const ready = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    if (!sink.write(body.subarray(start, end))) await ready;
    start = end;
  }
  return { kind: 'streamed', tail: body.subarray(start), error: null, generatedBy };
}
