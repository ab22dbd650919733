import { z } from 'zod';
import { type FastifyRequest, problemResponses, type Routes } from '../../platform/api.ts';
import { AppError } from '../../platform/errors.ts';
import { nextCursor, pageOfUuids } from '../../platform/page.ts';
import { readJsonExport } from './json-export.ts';
import { maxExportBytes, readExport } from './read-export.ts';
import {
  reconciliationBody,
  reconciliationHeadView,
  reconciliationParams,
  reconciliationQuery,
  reconciliationView,
} from './reconciliations.schema.ts';
import type { Reconciliations } from './reconciliations.service.ts';
import { readUploadedExport } from './upload.ts';

export function reconciliationsRoutes(reconciliations: Reconciliations): Routes {
  return (api) => {
    api.post(
      '/costs/reconciliations',
      {
        config: { access: { permission: 'costs:manage' } },
        bodyLimit: maxExportBytes.json,
        onRequest: jsonOrForm,
        schema: {
          tags: ['Costs'],
          summary: "Compare a provider's export of usage or costs with the ledger, by model and day",
          description:
            'The export as `export` in a JSON body, at most 8 MiB, or as the file `file` of multipart/form-data beside the fields `provider` and `tolerance_percent`: JSON of at most 8 MiB, CSV of at most 32 MiB. Known are the usage and cost interfaces and the CSV exports of OpenAI and Anthropic.',
          consumes: ['application/json', 'multipart/form-data'],
          body: reconciliationBody,
          response: { 201: reconciliationView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const given = request.isMultipart() ? await readUploadedExport(request) : await inBody(request.body);
        const { exported, provider, tolerance_percent } = given;
        const row = await reconciliations.reconcile(request.principal, exported, provider, tolerance_percent);
        return reply.code(201).send(showWhole(row));
      },
    );

    api.get(
      '/costs/reconciliations',
      {
        config: { access: { permission: 'costs:read' } },
        schema: {
          tags: ['Costs'],
          summary: 'List reconciliations, newest first',
          querystring: reconciliationQuery,
          response: {
            200: z.object({
              reconciliations: z.array(reconciliationHeadView),
              next_cursor: z.string().nullable(),
            }),
            ...problemResponses,
          },
        },
      },
      async (request) => {
        const rows = await reconciliations.page(request.principal, pageOfUuids(request.query));
        return { reconciliations: rows.map(showHead), next_cursor: nextCursor(rows, request.query.limit) };
      },
    );

    api.get(
      '/costs/reconciliations/:id',
      {
        config: { access: { permission: 'costs:read' } },
        schema: {
          tags: ['Costs'],
          summary: 'Show a reconciliation with its lines by model and day',
          params: reconciliationParams,
          response: { 200: reconciliationView, ...problemResponses },
        },
      },
      async (request) =>
        showWhole(await reconciliations.reconciliation(request.principal, request.params.id)),
    );
  };
}

async function inBody(body: z.infer<typeof reconciliationBody>) {
  if (body === undefined) throw new AppError('bad_request', 'The request has no body.');
  const { export: given, ...fields } = body;
  const exported =
    typeof given === 'string'
      ? await readExport(piecesOf(Buffer.from(given, 'utf8')))
      : readJsonExport(given);
  return { exported, ...fields };
}

const pieceBytes = 64 * 1024;

async function* piecesOf(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

async function jsonOrForm(request: FastifyRequest): Promise<void> {
  const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  if (type === 'application/json' || type === 'multipart/form-data') return;
  throw new AppError(
    'unsupported_media_type',
    'Send the export as application/json, or its file as multipart/form-data in the field "file".',
  );
}

type Head = Awaited<ReturnType<Reconciliations['page']>>[number];
type Whole = Awaited<ReturnType<Reconciliations['reconciliation']>>;
type View = z.infer<typeof reconciliationView>;

function showHead(row: Head): z.infer<typeof reconciliationHeadView> {
  return {
    id: row.id,
    format: row.format as View['format'],
    provider: row.provider,
    period_start: row.period_start.toISOString(),
    period_end: row.period_end.toISOString(),
    tolerance_percent: row.tolerance_percent,
    within_tolerance: row.within_tolerance,
    totals: row.totals as View['totals'],
    created_by: row.created_by,
    created_at: row.created_at.toISOString(),
  };
}

function showWhole(row: Whole): View {
  return { ...showHead(row), lines: row.lines as View['lines'] };
}
