import type { Multipart, MultipartFile } from '@fastify/multipart';
import type { z } from 'zod';
import type { FastifyRequest } from '../platform/api.ts';
import { AppError } from '../platform/errors.ts';
import { uploadFields } from './documents.schema.ts';
import { fileTooLarge, type ReceivedFile } from './received-files.ts';

/** What a multipart form holds beside its file: boundaries, names, fields. */
const formOverheadBytes = 2 * 1024 * 1024;
const jsonFields = ['metadata', 'acl'];

export interface Upload {
  readonly file: ReceivedFile | undefined;
  readonly fields: z.infer<typeof uploadFields>;
}

/** Where an upload's file goes while the rest of the form is still on its way. */
export interface FileReceiver {
  readonly maxFileBytes: number;
  receive(part: MultipartFile): Promise<ReceivedFile>;
  drop(file: ReceivedFile): Promise<void>;
}

/**
 * Reads a multipart form once, from its beginning to its end: the file is stored while it arrives, wherever it stands
 * among the fields. When anything is wrong with the form, the file is dropped again.
 * @throws AppError `too_large`, `invalid`, `bad_request`, `client_gone`.
 */
export async function readUpload(request: FastifyRequest, receiver: FileReceiver): Promise<Upload> {
  const { maxFileBytes } = receiver;
  // Said in advance, it need not be read to be refused.
  if (Number(request.headers['content-length'] ?? 0) > maxFileBytes + formOverheadBytes)
    throw fileTooLarge(maxFileBytes);
  let file: ReceivedFile | undefined;
  try {
    const fields: Record<string, unknown> = {};
    for await (const part of request.parts({ limits: { fileSize: maxFileBytes } })) {
      if (part.type === 'file') file = await receiver.receive(expectedFile(part));
      else fields[part.fieldname] = fieldValue(part);
    }
    return { file, fields: checkedFields(fields) };
  } catch (error) {
    if (file) await receiver.drop(file);
    throw inOurWords(error, maxFileBytes, request.raw.destroyed && !request.raw.complete);
  }
}

function expectedFile(part: MultipartFile): MultipartFile {
  if (part.fieldname === 'file') return part;
  part.file.resume();
  throw wrongField('file', `The file belongs into the field "file", not "${part.fieldname.slice(0, 100)}".`);
}

function fieldValue(part: Extract<Multipart, { type: 'field' }>): unknown {
  if (part.fieldnameTruncated || part.valueTruncated) throw wrongField(part.fieldname, 'is too long');
  if (!jsonFields.includes(part.fieldname) || typeof part.value !== 'string') return part.value;
  try {
    return JSON.parse(part.value);
  } catch {
    throw wrongField(part.fieldname, 'must be JSON');
  }
}

function checkedFields(fields: Record<string, unknown>): Upload['fields'] {
  const parsed = uploadFields.safeParse(fields);
  if (parsed.success) return parsed.data;
  const errors = parsed.error.issues.map((issue) => ({ path: issue.path.join('.'), message: issue.message }));
  throw new AppError('invalid', `${errors[0]?.path}: ${errors[0]?.message}`, { errors });
}

function wrongField(path: string, message: string): AppError {
  return new AppError('invalid', `${path}: ${message}`, { errors: [{ path, message }] });
}

/** What the form reader complains of. */
function inOurWords(error: unknown, maxFileBytes: number, clientIsGone: boolean): unknown {
  if (error instanceof AppError) return error;
  switch ((error as { code?: string }).code) {
    case 'FST_REQ_FILE_TOO_LARGE':
      return fileTooLarge(maxFileBytes);
    case 'FST_FILES_LIMIT':
      return wrongField('file', 'one file per request');
    case 'FST_FIELDS_LIMIT':
    case 'FST_PARTS_LIMIT':
      return new AppError('bad_request', 'The form has too many fields.', { cause: error });
    case 'FST_PROTO_VIOLATION':
      return new AppError('bad_request', 'The form has a field with a name that is not allowed.', {
        cause: error,
      });
    case 'FST_MP_PREMATURE_CLOSE':
    case 'ERR_STREAM_PREMATURE_CLOSE':
      return brokeOff(error);
    case 'ECONNRESET':
      // While the client is there, it is the database's connection that was reset.
      return clientIsGone ? brokeOff(error) : error;
    case 'FST_INVALID_JSON_FIELD_ERROR':
      return new AppError('bad_request', 'A field that is declared as JSON is not JSON.', { cause: error });
    default:
      break;
  }
  // The parser of the form itself throws plain errors: no boundary, a form that ends early, a malformed header.
  return error instanceof Error && isFormError(error)
    ? new AppError('bad_request', `The form cannot be read: ${error.message}.`, { cause: error })
    : error;
}

function brokeOff(cause: unknown): AppError {
  return new AppError('client_gone', 'The upload broke off.', { cause });
}

function isFormError(error: Error): boolean {
  return /multipart|boundary|unexpected end|terminated early|malformed/i.test(error.message);
}
