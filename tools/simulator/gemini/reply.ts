import { digestOf } from '../journal.ts';
import type { Saying } from '../model-call.ts';
import type { Bill, StreamFrame, StreamReply } from '../send.ts';
import { type ServedTokens, servedSoFar } from '../served.ts';
import { geminiError } from './face.ts';

interface ReplyOptions {
  readonly model: string;
  readonly responseId: string;
  readonly saying: Saying;
  readonly bill: Bill;
  /** False leaves the usage out. */
  readonly tellUsage: boolean;
}

/** Usage as the API tells it: thoughts stand beside the candidates' tokens, not within. */
export function geminiUsage(served: ServedTokens): Record<string, unknown> {
  const candidates = served.outputTokens - served.reasoningTokens;
  const { inputImageTokens: image, inputAudioTokens: audio, cachedReadTokens: cached } = served;
  const text = served.inputTokens - image - audio;
  return {
    promptTokenCount: served.inputTokens,
    candidatesTokenCount: candidates,
    totalTokenCount: served.inputTokens + served.outputTokens,
    ...(cached > 0 && {
      cachedContentTokenCount: cached,
      cacheTokensDetails: [{ modality: 'TEXT', tokenCount: cached }],
    }),
    promptTokensDetails: modalities({ TEXT: text, IMAGE: image, AUDIO: audio }),
    ...(served.reasoningTokens > 0 && { thoughtsTokenCount: served.reasoningTokens }),
  };
}

/** The body of a whole reply. */
export function generatedJson(options: ReplyOptions): string {
  const { saying, bill } = options;
  const { answer, thoughts } = saying;
  const parts: object[] = [];
  if (thoughts.length > 0) parts.push({ text: thoughts.join(''), thought: true });
  if (answer.kind === 'tool-call') parts.push(callPart(saying));
  else parts.push({ text: answer.text, ...signed(saying) });
  return JSON.stringify(chunk(options, parts, bill.served, saying.finish));
}

/** The reply as a stream: server-sent events with `alt=sse`, else one JSON list that grows. */
export function generatedStream(options: ReplyOptions, sse: boolean): StreamReply {
  const errorFrame: StreamReply['errorFrame'] = (error) => framed(geminiError(error), sse, false);
  return {
    contentType: sse ? 'text/event-stream' : 'application/json; charset=UTF-8',
    pieces: options.saying.answer.kind === 'tool-call' ? 1 : options.saying.pieces.length,
    frames: chunks(options, sse),
    bill: options.bill,
    malformed: () =>
      sse ? 'data: {"candidates": [{"content": {"parts": [{"te\r\n\r\n' : ',\r\n{"candidates": [',
    errorFrame,
  };
}

function* chunks(options: ReplyOptions, sse: boolean): Generator<StreamFrame> {
  const { saying, bill } = options;
  const { answer, thoughts, pieces, reasoningTokens } = saying;
  let first = true;
  const frame = (parts: readonly object[], tokens: number, finish?: Saying['finish']): string => {
    const text = framed(chunk(options, parts, servedSoFar(bill.served, tokens), finish), sse, first);
    first = false;
    return text;
  };
  for (const [nth, text] of thoughts.entries()) {
    const tokens = Math.round((reasoningTokens * (nth + 1)) / thoughts.length);
    yield { data: frame([{ text, thought: true }], tokens), carries: 'thought', tokens };
  }
  if (answer.kind === 'tool-call') {
    const data = frame([callPart(saying)], saying.tokens);
    yield { data, carries: 'content', tokens: saying.tokens, completesTool: true };
  }
  for (const [nth, text] of (answer.kind === 'text' ? pieces : []).entries()) {
    const made = Math.round(((saying.tokens - reasoningTokens) * (nth + 1)) / pieces.length);
    const tokens = reasoningTokens + made;
    yield { data: frame([{ text }], tokens), carries: 'content', tokens };
  }
  const last = answer.kind === 'text' ? { text: '', ...signed(saying) } : { text: '' };
  const data = frame([last], saying.tokens, saying.finish) + (sse ? '' : '\r\n]');
  yield { data, carries: 'done', tokens: saying.tokens, tellsUsage: options.tellUsage };
}

function chunk(
  { model, responseId, tellUsage }: ReplyOptions,
  parts: readonly object[],
  served: ServedTokens,
  finish: Saying['finish'] | undefined,
): object {
  const finishReason = finish === undefined ? undefined : finish === 'length' ? 'MAX_TOKENS' : 'STOP';
  return {
    candidates: [{ content: { parts, role: 'model' }, ...(finishReason && { finishReason }), index: 0 }],
    ...(tellUsage && { usageMetadata: geminiUsage(served) }),
    modelVersion: model,
    responseId,
  };
}

function framed(value: object, sse: boolean, first: boolean): string {
  if (sse) return `data: ${JSON.stringify(value)}\r\n\r\n`;
  return `${first ? '[' : ',\r\n'}${JSON.stringify(value)}`;
}

function callPart(saying: Saying): object {
  const { answer, callId } = saying;
  if (answer.kind !== 'tool-call') return {};
  const args: unknown = JSON.parse(answer.argumentsJson);
  return { functionCall: { name: answer.name, args, id: functionCallId(callId) }, ...signed(saying) };
}

export function functionCallId(callId: string): string {
  return callId.slice(0, 16);
}

/** What Gemini wants back with a part that came after thinking. */
function signed({ reasoningTokens, callId }: Saying): object {
  if (reasoningTokens === 0) return {};
  return { thoughtSignature: Buffer.from(`simulator/${digestOf(callId)}`).toString('base64') };
}

export function modalities(tokens: Readonly<Record<string, number>>): object[] {
  return Object.entries(tokens)
    .filter(([modality, tokenCount]) => tokenCount > 0 || modality === 'TEXT')
    .map(([modality, tokenCount]) => ({ modality, tokenCount }));
}
