import type {} from '@fastify/multipart';
import type { Principal } from '../access/index.ts';
import { type FastifyRequest, problemResponses, type Routes } from '../platform/api.ts';
import { AppError } from '../platform/errors.ts';
import { isUuid } from '../platform/ids.ts';
import { nextCursor, pageOf } from '../platform/page.ts';
import {
  aclBody,
  addBody,
  documentList,
  documentParams,
  documentView,
  listQuery,
  receiptView,
  reviseBody,
  textView,
  waitQuery,
} from './documents.schema.ts';
import type { Documents } from './documents.service.ts';
import { showDocument, showReceipt } from './documents.view.ts';
import type { DocumentRow } from './knowledge-tables.ts';
import { readUpload, type Upload } from './upload.ts';

/** Text in a JSON body; what is longer is sent as a file. */
const jsonBodyLimit = 20 * 1024 * 1024;
const tags = ['Documents'];
const read = { access: { permission: 'documents:read' } } as const;
const write = {
  access: { permission: 'documents:write' },
  idempotency: { repeatable: 'Equal content is recognised; replacing and deleting again changes nothing.' },
} as const;

export function documentRoutes(documents: Documents): Routes {
  const uploadOf = (request: FastifyRequest): Promise<Upload> =>
    readUpload(request, {
      maxFileBytes: documents.files.maxFileBytes,
      receive: (part) =>
        documents.files.receive(request.principal, part.file, {
          fileName: part.filename,
          contentType: part.mimetype,
        }),
      drop: (file) => documents.files.drop(request.principal, file.blobKey),
    });

  /** With `?wait=true`, the document when it is searchable, or as far as it came. @throws AppError when it failed. */
  const asWaitedFor = async (principal: Principal, row: DocumentRow, wait: 'true' | 'false') => {
    if (wait === 'false') return row;
    const settled = await documents.settled(principal, row);
    if (settled.status === 'failed') throw ingestFailed(settled);
    return settled;
  };

  return (api) => {
    api.post(
      '/documents',
      {
        config: write,
        bodyLimit: jsonBodyLimit,
        onRequest: jsonOrForm,
        schema: {
          tags,
          summary: 'Add a document, as JSON or as a file',
          description:
            'Answers 202 with the document on its way, 201 when it is searchable (`?wait=true`), or 200 with the document that was there already, or that was revised (`external_id`). As multipart/form-data: the file in `file`, at most 256 MiB, and `title`, `metadata`, `acl` (both as JSON), `external_id` as fields.',
          consumes: ['application/json', 'multipart/form-data'],
          body: addBody,
          querystring: waitQuery,
          response: { 200: documentView, 201: documentView, 202: documentView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const { principal, body } = request;
        const { file, facts } = request.isMultipart()
          ? await uploadOf(request).then(withFile)
          : await textOf(documents, principal, given(body));
        const { row, outcome } = await documents.add(principal, file, facts);
        const shown = await asWaitedFor(principal, row, request.query.wait);
        const ready = shown.status === 'ready';
        return reply
          .code(ready ? (outcome === 'created' ? 201 : 200) : 202)
          .header('location', `/api/v1/documents/${shown.id}`)
          .send(showDocument(shown));
      },
    );

    api.get(
      '/documents',
      {
        config: read,
        schema: {
          tags,
          summary: 'List the documents that you may read, newest first',
          querystring: listQuery,
          response: { 200: documentList, ...problemResponses },
        },
      },
      async (request) => {
        const page = pageOf(request.query);
        if (page.after && !isUuid(page.after.id))
          throw new AppError('invalid', 'The cursor is not one of this list.');
        const rows = await documents.documents(request.principal, page, request.query.status);
        return { documents: rows.map(showDocument), next_cursor: nextCursor(rows, page.limit) };
      },
    );

    api.get(
      '/documents/:id',
      {
        config: read,
        schema: {
          tags,
          summary: 'A document and how far it is',
          params: documentParams,
          response: { 200: documentView, ...problemResponses },
        },
      },
      async (request) => showDocument(await documents.byId(request.principal, request.params.id)),
    );

    api.get(
      '/documents/:id/text',
      {
        config: read,
        schema: {
          tags,
          summary: 'The stored text, which every offset refers to',
          description:
            'JSON, or the bare text when `Accept` prefers text/plain. 409 while there is none yet.',
          params: documentParams,
          response: { 200: textView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const { version, text } = await documents.text(request.principal, request.params.id);
        reply.header('x-document-version', String(version)).header('vary', 'accept');
        if (prefersPlainText(request.headers.accept)) {
          // Past the serialiser, which knows the JSON form only.
          return reply.type('text/plain; charset=utf-8').send(Buffer.from(text, 'utf8') as never);
        }
        return reply.send({
          document_id: request.params.id,
          version,
          text,
          length: text.length,
          offset_unit: 'utf16' as const,
        });
      },
    );

    api.put(
      '/documents/:id',
      {
        config: write,
        bodyLimit: jsonBodyLimit,
        onRequest: jsonOrForm,
        schema: {
          tags,
          summary: 'Change a document; what is absent stays as it is',
          description:
            'New text or a new file becomes a new version: 202 with it on its way, or 200 when it is searchable (`?wait=true`); until then the version before answers. Title, metadata and readers hold at once: 200.',
          consumes: ['application/json', 'multipart/form-data'],
          params: documentParams,
          body: reviseBody,
          querystring: waitQuery,
          response: { 200: documentView, 202: documentView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const { principal, body } = request;
        const id = request.params.id;
        // Who may not see it must not learn of it by how an upload ends, nor send 256 MiB for nothing.
        await documents.byId(principal, id);
        const { file, facts } = request.isMultipart()
          ? await uploadOf(request).then(({ file, fields }) => ({ file, facts: fields }))
          : await revisionOf(documents, principal, given(body));
        const { row } = await documents.revise(principal, id, facts, file);
        const shown = await asWaitedFor(principal, row, request.query.wait);
        const onItsWay = shown.status !== 'ready' && shown.status !== 'failed';
        return reply.code(onItsWay ? 202 : 200).send(showDocument(shown));
      },
    );

    api.put(
      '/documents/:id/acl',
      {
        config: write,
        schema: {
          tags,
          summary: 'Set who may read a document; holds at the next request',
          params: documentParams,
          body: aclBody,
          response: { 200: documentView, ...problemResponses },
        },
      },
      async (request) => {
        const { row } = await documents.revise(request.principal, request.params.id, { acl: request.body });
        return showDocument(row);
      },
    );

    api.delete(
      '/documents/:id',
      {
        config: write,
        schema: {
          tags,
          summary: 'Delete a document and everything made of it',
          description:
            'Nothing answers from it any more once this answers. 200 with the receipt when every place was found empty, 202 with the receipt as far as it is otherwise; poll `/documents/{id}/deletion`.',
          params: documentParams,
          response: { 200: receiptView, 202: receiptView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const receipt = await documents.remove(request.principal, request.params.id);
        return reply
          .code(receipt.completed_at ? 200 : 202)
          .header('location', `/api/v1/documents/${receipt.document_id}/deletion`)
          .send(showReceipt(receipt));
      },
    );

    api.get(
      '/documents/:id/deletion',
      {
        config: read,
        schema: {
          tags,
          summary: 'What became of a deleted document',
          params: documentParams,
          response: { 200: receiptView, ...problemResponses },
        },
      },
      async (request) => showReceipt(await documents.receipt(request.principal, request.params.id)),
    );
  };
}

/** Refuses other types before any of the body is read. */
async function jsonOrForm(request: FastifyRequest): Promise<void> {
  const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  if (type === 'application/json' || type === 'multipart/form-data') return;
  throw new AppError(
    'unsupported_media_type',
    'Send the document as application/json, or its file as multipart/form-data in the field "file".',
  );
}

function given<Body>(body: Body | undefined): Body {
  if (body === undefined) throw new AppError('bad_request', 'The request has no body.');
  return body;
}

function withFile({ file, fields: { external_id, ...facts } }: Upload) {
  if (!file) {
    throw new AppError('invalid', 'file: a form needs the document in the field "file".', {
      errors: [{ path: 'file', message: 'is missing' }],
    });
  }
  return { file, facts: { ...facts, externalId: external_id } };
}

type AddBody = NonNullable<import('zod').infer<typeof addBody>>;
type ReviseBody = NonNullable<import('zod').infer<typeof reviseBody>>;

async function textOf(documents: Documents, principal: Principal, body: AddBody) {
  const { text, content_type, external_id, ...facts } = body;
  const file = await documents.files.receiveText(principal, text, content_type);
  return { file, facts: { ...facts, externalId: external_id } };
}

async function revisionOf(documents: Documents, principal: Principal, body: ReviseBody) {
  const { text, content_type, ...facts } = body;
  return {
    file: text === undefined ? undefined : await documents.files.receiveText(principal, text, content_type),
    facts,
  };
}

function ingestFailed(row: DocumentRow): AppError {
  return new AppError('invalid', row.detail ?? 'The document could not be read.', {
    extra: { reason: row.reason, document_id: row.id },
  });
}

/** Whether the first of the two types that the header names is the bare text. */
function prefersPlainText(accept: string | undefined): boolean {
  const types = (accept ?? '').split(',').map((type) => type.split(';')[0]?.trim().toLowerCase());
  const plain = types.indexOf('text/plain');
  const json = types.indexOf('application/json');
  return plain !== -1 && (json === -1 || plain < json);
}
