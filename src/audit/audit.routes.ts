import { Readable } from 'node:stream';
import { z } from 'zod';
import { allDocumentsToken, type Principal } from '../access/index.ts';
import { problemResponses, type Routes } from '../platform/api.ts';
import type { DatabaseScope } from '../platform/database/database.ts';
import { AppError } from '../platform/errors.ts';
import { nextCursor, pageOfUuids } from '../platform/page.ts';
import {
  consistencyQuery,
  consistencyView,
  entriesQuery,
  entryView,
  headView,
  inclusionQuery,
  inclusionView,
  keysView,
  logQuery,
} from './audit.schema.ts';
import type { Audit } from './audit.service.ts';
import { platformLog } from './platform-log.ts';
import type { SignedTreeHead } from './tree-head.ts';

type AuditRow = Awaited<ReturnType<Audit['entry']>>;

export function auditRoutes(audit: Audit): Routes {
  return (api) => {
    const reads = { access: { permission: 'audit:read' } } as const;
    const readings = { ...reads, audited: 'read' } as const;

    api.get(
      '/audit-logs',
      {
        config: readings,
        schema: {
          tags: ['Audit'],
          summary: 'Who did what, newest first',
          querystring: entriesQuery,
          response: {
            200: z.object({ entries: z.array(entryView), next_cursor: z.string().nullable() }),
            ...problemResponses,
          },
        },
      },
      async (request) => {
        const { log, limit, from, to, target_type, target_id, correlation_id, ...given } = request.query;
        const rows = await audit.page(
          scopeOf(request.principal, log),
          {
            actor: given.actor,
            action: given.action,
            outcome: given.outcome,
            targetType: target_type,
            targetId: target_id,
            correlationId: correlation_id,
            from: from === undefined ? undefined : new Date(from),
            to: to === undefined ? undefined : new Date(to),
          },
          pageOfUuids(request.query),
        );
        const show = entriesFor(request.principal);
        return { entries: rows.map(show), next_cursor: nextCursor(rows, limit) };
      },
    );

    api.get(
      '/audit-logs/export',
      {
        config: { access: { permission: 'audit:export' } },
        schema: {
          tags: ['Audit'],
          summary: 'The whole log as JSON lines, which `gatehouse audit verify` checks without a server',
          querystring: logQuery,
          response: { 200: z.unknown(), ...problemResponses },
        },
      },
      async (request, reply) => {
        const scope = wholeLogOf(request.principal, request.query.log);
        await audit.note(scope, {
          action: 'audit_log.exported',
          targetType: 'audit_log',
          targetId: scope.tenantId,
          outcome: 'done',
          details: null,
        });
        return reply.type('application/jsonl').send(Readable.from(audit.export(scope)));
      },
    );

    api.get(
      '/audit-logs/head',
      {
        config: reads,
        schema: {
          tags: ['Audit'],
          summary: 'The newest signed tree head; keep it somewhere else as a witness',
          querystring: logQuery,
          response: { 200: z.object({ head: headView.nullable() }), ...problemResponses },
        },
      },
      async (request) => {
        const head = await audit.head(wholeLogOf(request.principal, request.query.log));
        return { head: head && showHead(head) };
      },
    );

    api.get(
      '/audit-logs/consistency',
      {
        config: reads,
        schema: {
          tags: ['Audit'],
          summary: 'Proof that an earlier log is the beginning of a later one',
          querystring: consistencyQuery,
          response: { 200: consistencyView, ...problemResponses },
        },
      },
      async (request) => {
        const { log, first, second } = request.query;
        const { roots, proof } = await audit.consistency(wholeLogOf(request.principal, log), first, second);
        const [firstRoot, secondRoot] = roots.map((root) => root.toString('hex'));
        return {
          first,
          second,
          first_root: firstRoot ?? '',
          second_root: secondRoot ?? '',
          proof: proof.map((hash) => hash.toString('hex')),
        };
      },
    );

    api.get(
      '/audit-logs/keys',
      {
        config: reads,
        schema: {
          tags: ['Audit'],
          summary: 'The public keys that tree heads and exports are signed with',
          response: { 200: keysView, ...problemResponses },
        },
      },
      async () => showKeys(await audit.publicKeys()),
    );

    api.post(
      '/audit-logs/keys/rotate',
      {
        config: { access: { permission: 'keyring:manage' } },
        schema: {
          tags: ['Audit'],
          summary:
            'Sign tree heads and exports with a new key; the private half of the one before is forgotten',
          response: { 201: keysView, ...problemResponses },
        },
      },
      async (_request, reply) => {
        await audit.rotateKey();
        return reply.code(201).send(showKeys(await audit.publicKeys()));
      },
    );

    api.get(
      '/audit-logs/:id',
      {
        config: readings,
        schema: {
          tags: ['Audit'],
          summary: 'One entry',
          params: z.object({ id: z.uuid() }),
          querystring: logQuery,
          response: { 200: entryView, ...problemResponses },
        },
      },
      async (request) =>
        entriesFor(request.principal)(
          await audit.entry(scopeOf(request.principal, request.query.log), request.params.id),
        ),
    );

    api.get(
      '/audit-logs/:id/inclusion',
      {
        config: reads,
        schema: {
          tags: ['Audit'],
          summary: 'Proof that an entry is in the log',
          params: z.object({ id: z.uuid() }),
          querystring: inclusionQuery,
          response: { 200: inclusionView, ...problemResponses },
        },
      },
      async (request) => {
        const { log, size: wanted } = request.query;
        const scope = wholeLogOf(request.principal, log);
        const { leaf, size, entry, leafHash, proof, root, head } = await audit.inclusion(
          scope,
          request.params.id,
          wanted,
        );
        return {
          leaf,
          size,
          entry,
          leaf_hash: leafHash.toString('hex'),
          proof: proof.map((hash) => hash.toString('hex')),
          root: root.toString('hex'),
          head: showHead(head),
        };
      },
    );
  };
}

/** @throws AppError `forbidden` when somebody else than an owner asks for the platform's log. */
function scopeOf(principal: Principal, log: 'tenant' | 'platform'): DatabaseScope {
  if (log === 'tenant') return principal;
  if (principal.role === 'owner') return platformLog;
  throw new AppError('forbidden', "Only an owner reads the platform's log.");
}

/**
 * For what speaks of the whole log: its size and its hashes would tell how much there is of what only those who read every
 * document may see.
 * @throws AppError `forbidden`, also as `scopeOf`.
 */
function wholeLogOf(principal: Principal, log: 'tenant' | 'platform'): DatabaseScope {
  if (principal.readerTokens.includes(allDocumentsToken)) return scopeOf(principal, log);
  throw new AppError('forbidden', 'Only administrators read the log as a whole. Ask one for an export.');
}

/** Places in the log show its gaps, so whoever does not see every entry sees no places. */
function entriesFor(principal: Principal): typeof showEntry {
  if (principal.readerTokens.includes(allDocumentsToken)) return showEntry;
  return (row) => showEntry({ ...row, leaf: null });
}

function showEntry({ leaf, entry }: AuditRow): z.infer<typeof entryView> {
  return { leaf: leaf === null ? null : Number(leaf), entry: JSON.parse(entry) as never };
}

function showKeys(keys: Awaited<ReturnType<Audit['publicKeys']>>): z.infer<typeof keysView> {
  return {
    keys: keys.map(({ id, publicKey, createdAt, retiredAt }) => ({
      id,
      public_key: publicKey,
      created_at: createdAt.toISOString(),
      retired_at: retiredAt?.toISOString() ?? null,
    })),
  };
}

function showHead({ tenantId, size, root, at, keyId, signature }: SignedTreeHead): z.infer<typeof headView> {
  return {
    tenant_id: tenantId,
    size,
    root: root.toString('hex'),
    at: at.toISOString(),
    key_id: keyId,
    signature: signature.toString('hex'),
  };
}
