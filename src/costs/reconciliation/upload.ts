import type {} from '@fastify/multipart';
import type { FastifyRequest } from '../../platform/api.ts';
import { AppError } from '../../platform/errors.ts';
import type { ExportedUsage } from './exported-usage.ts';
import { maxExportBytes, readExport } from './read-export.ts';
import { reconciliationFields } from './reconciliations.schema.ts';

/** Longer than anything that is a field here. */
const maxFieldBytes = 1_000;

/**
 * Reads a form with the export in `file` and the rest as fields, in any order; the file is read while it arrives.
 * @throws AppError `invalid`, `too_large`, `bad_request`, `client_gone`.
 */
export async function readUploadedExport(request: FastifyRequest) {
  const fields: Record<string, unknown> = {};
  let exported: ExportedUsage | null = null;
  let fault: unknown = null;
  try {
    const limits = { fileSize: maxExportBytes.csv + 1, fieldSize: maxFieldBytes, files: 1, fields: 5 };
    for await (const part of request.parts({ limits })) {
      if (part.type === 'field') fields[part.fieldname] = part.value;
      else if (part.fieldname === 'file') {
        // What is wrong with the file is said when the form has been read to its end: a caller who is still sending
        // would not hear of it.
        const read = await readExport(part.file.iterator({ destroyOnReturn: false })).catch((error) => {
          fault = error;
          part.file.resume();
          return null;
        });
        exported = read;
      } else {
        fault = wrong('file', `belongs into the field "file", not "${part.fieldname.slice(0, 100)}"`);
        part.file.resume();
      }
    }
  } catch (error) {
    throw inOurWords(error);
  }
  if (fault !== null) throw inOurWords(fault);
  const parsed = reconciliationFields.safeParse(fields);
  if (!parsed.success) {
    const errors = parsed.error.issues.map(({ path, message }) => ({ path: path.join('.'), message }));
    throw new AppError('invalid', `${errors[0]?.path}: ${errors[0]?.message}`, { errors });
  }
  if (exported === null) throw wrong('file', 'is missing: a form needs the export in the field "file"');
  return { exported, ...parsed.data };
}

function wrong(path: string, message: string): AppError {
  return new AppError('invalid', `${path}: ${message}`, { errors: [{ path, message }] });
}

/** What the form reader complains of. */
function inOurWords(error: unknown): unknown {
  if (error instanceof AppError) return error;
  const code = (error as { code?: unknown }).code;
  if (code === 'FST_REQ_FILE_TOO_LARGE') {
    const mebibytes = maxExportBytes.csv / 1024 / 1024;
    return new AppError('too_large', `An export has at most ${mebibytes} MiB. Export fewer days at once.`, {
      cause: error,
    });
  }
  if (code === 'FST_MP_PREMATURE_CLOSE' || code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ECONNRESET') {
    return new AppError('client_gone', 'The upload broke off.', { cause: error });
  }
  const ofForm =
    (typeof code === 'string' && code.startsWith('FST_')) ||
    (error instanceof Error &&
      /multipart|boundary|unexpected end|terminated early|malformed/i.test(error.message));
  return ofForm
    ? new AppError(
        'bad_request',
        'The form cannot be read: it needs one file and the fields of this route.',
        {
          cause: error,
        },
      )
    : error;
}
