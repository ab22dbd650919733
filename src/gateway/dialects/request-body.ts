import { isUtf8 } from 'node:buffer';
import { AppError } from '../../platform/errors.ts';
import { modelNamePattern } from '../../routing/index.ts';
import type { JsonObject } from '../json-object.ts';
import { NestedTooDeep, parseJson } from './parse-json.ts';

/** What every dialect must understand of a body before anything can be done with it. */
export interface RequestBody {
  readonly bytes: Buffer;
  readonly parsed: JsonObject;
  readonly model: string;
  /** Whether the caller asks for a stream. */
  readonly stream: boolean;
}

/**
 * @param body the bytes as received.
 * @throws AppError `bad_request` naming the field, `unsupported_media_type` when there are no JSON bytes.
 */
export function readRequestBody(body: unknown): RequestBody {
  if (!Buffer.isBuffer(body)) {
    throw new AppError('unsupported_media_type', 'Send the request as application/json.');
  }
  const parsed = parseBody(body);
  const { model, stream } = parsed;
  if (typeof model !== 'string') throw refusal('model', 'must be a string: a route, or <provider>/<model>');
  if (!modelNamePattern.test(model)) throw refusal('model', 'must be 1 to 200 characters without blanks');
  if (stream !== undefined && stream !== null && typeof stream !== 'boolean') {
    throw refusal('stream', 'must be true or false');
  }
  return { bytes: body, parsed, model, stream: stream === true };
}

/** @throws AppError `bad_request` when the bytes are no JSON object, or one that is nested too deep. */
export function parseBody(body: Buffer): JsonObject {
  if (!isUtf8(body)) throw new AppError('bad_request', 'The body is not valid UTF-8.');
  let parsed: unknown;
  try {
    parsed = parseJson(body);
  } catch (cause) {
    const words = cause instanceof Error ? cause.message : String(cause);
    const detail = cause instanceof NestedTooDeep ? words : `The body is not valid JSON: ${words}`;
    throw new AppError('bad_request', detail, { cause });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new AppError('bad_request', 'The body must be a JSON object.');
  }
  return parsed as JsonObject;
}

export function refusal(path: string, message: string): AppError {
  return new AppError('bad_request', `"${path}" ${message}.`, { errors: [{ path, message }] });
}
