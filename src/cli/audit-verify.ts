import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { type KnownKey, type Verification, verifyExport, type Witness } from '../audit/index.ts';
import { AppError } from '../platform/errors.ts';
import { type CommandContext, exitCodes } from './command.ts';

/** A longer line than an entry can be is no line of an export. */
const maxLineLength = 2 * 1024 * 1024;

/**
 * Checks an export of an audit log with nothing but the file. Exit code 1 when it does not hold.
 * @throws AppError `invalid` when a file cannot be read, or is not what its option wants.
 */
export async function verifyAuditExport(
  path: string,
  values: { readonly 'trust-key'?: string; readonly keys?: string; readonly witness?: string },
  { output }: CommandContext,
): Promise<number> {
  const trusted = values['trust-key']?.split(',').map((id) => id.trim());
  const keys = values.keys === undefined ? undefined : await readKeys(values.keys);
  const witnesses = values.witness === undefined ? [] : [await readWitness(values.witness)];
  const found = await verifyExport(linesOf(path), { trusted, keys, witnesses });
  output.result({
    valid: found.isValid,
    problems: found.problems,
    tenant_id: found.tenantId,
    first_leaf: found.firstLeaf,
    size: found.size,
    root: found.root,
    heads: found.heads,
    keys: found.keys,
  });
  for (const problem of found.problems) output.line(`${output.paint('bad', 'problem')}  ${problem}`);
  if (found.isValid)
    sayValid(found, trusted !== undefined || keys !== undefined, witnesses.length > 0, output);
  else output.line('This export does not hold: something in it was changed, left out, added or cut off.');
  return found.isValid ? exitCodes.ok : exitCodes.failed;
}

function sayValid(
  { firstLeaf, size, heads, keys, root, tenantId }: Verification,
  keysAreTrusted: boolean,
  hasWitness: boolean,
  output: CommandContext['output'],
): void {
  const pruned = firstLeaf > 0 ? `, of which the first ${firstLeaf} were pruned` : '';
  output.line(
    `${output.paint('good', 'valid')}  ${size} entries of tenant ${tenantId}${pruned}; ${heads} signed tree heads; root ${root}`,
  );
  const signers = keys.map(({ id }) => id).join(', ');
  if (!keysAreTrusted) {
    output.line(
      `Signed by key ${signers}. Whether that is the server's key, this file cannot tell: compare it with GET /api/v1/audit-logs/keys, and name it with --trust-key, or that reply with --keys.`,
    );
  }
  if (!hasWitness) {
    output.line(
      'Whether the holder of that key rewrote or shortened the log before it was exported, only a tree head kept elsewhere can tell: --witness <file>.',
    );
  }
}

const witnessFile = z.object({ size: z.number().int().min(0), root: z.string().regex(/^[0-9a-f]{64}$/) });

/** A tree head as `GET /api/v1/audit-logs/head` gave it, with or without the `head` around it. */
async function readWitness(path: string): Promise<Witness> {
  try {
    const content: unknown = JSON.parse(await readFile(path, 'utf8'));
    const head =
      typeof content === 'object' && content !== null && 'head' in content ? content.head : content;
    return witnessFile.parse(head);
  } catch (cause) {
    throw new AppError('invalid', `${path} is not a tree head as GET /api/v1/audit-logs/head gives it.`, {
      cause,
    });
  }
}

const keysFile = z.object({
  keys: z
    .array(
      z.object({
        id: z.string(),
        created_at: z.iso.datetime().transform((at) => new Date(at)),
        retired_at: z.iso
          .datetime()
          .transform((at) => new Date(at))
          .nullable(),
      }),
    )
    .min(1),
});

/** Keys of the log as `GET /api/v1/audit-logs/keys` gave them. */
async function readKeys(path: string): Promise<KnownKey[]> {
  try {
    const { keys } = keysFile.parse(JSON.parse(await readFile(path, 'utf8')));
    return keys.map(({ id, created_at, retired_at }) => ({
      id,
      createdAt: created_at,
      retiredAt: retired_at,
    }));
  } catch (cause) {
    throw new AppError('invalid', `${path} is no list of keys as GET /api/v1/audit-logs/keys gives it.`, {
      cause,
    });
  }
}

/** The file's lines. @throws AppError `invalid` when it cannot be read, or is not UTF-8. */
async function* linesOf(path: string): AsyncGenerator<string> {
  // Were it mended on the way, a flipped bit could go unseen.
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let rest = '';
  try {
    for await (const part of createReadStream(path)) {
      rest += decoder.decode(part as Buffer, { stream: true });
      const lines = rest.split('\n');
      rest = lines.pop() ?? '';
      yield* lines;
      if (rest.length > maxLineLength)
        throw new AppError('invalid', `${path} is no export: a line of it never ends.`);
    }
    rest += decoder.decode();
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    const why =
      cause instanceof TypeError ? 'it is not UTF-8' : cause instanceof Error ? cause.message : cause;
    throw new AppError('invalid', `${path} cannot be read: ${why}.`, { cause });
  }
  if (rest !== '') yield rest;
}
