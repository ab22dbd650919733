import { resolve } from 'node:path';
import { type Client, createClientFor } from '../client.ts';
import { ServerRefusal } from '../client-errors.ts';
import type { ServerValues } from '../client-options.ts';
import { type CommandContext, exitCodes, UsageError } from '../command.ts';
import { Interrupted } from '../interruption.ts';
import { commaList } from '../lists.ts';
import type { Output } from '../output.ts';
import { findFiles, readExtensions } from './find-files.ts';
import { type Acl, type FileOutcome, sendFiles } from './send-files.ts';

export interface IngestValues extends ServerValues {
  readonly base?: string;
  readonly wait?: boolean;
  readonly concurrency?: string;
  readonly 'max-files'?: string;
  readonly 'acl-roles'?: string;
  readonly 'acl-groups'?: string;
  readonly 'acl-users'?: string;
}

const defaultConcurrency = 4;
const defaultMostFiles = 10_000;

/** Sends files and folders to a running server, and waits until they can be searched. */
export async function ingest(
  paths: readonly string[],
  values: IngestValues,
  context: CommandContext,
): Promise<number> {
  const { output, clock } = context;
  const concurrency = wholeNumber('concurrency', values.concurrency, defaultConcurrency, 16);
  const mostFiles = wholeNumber('max-files', values['max-files'], defaultMostFiles, 1_000_000);
  const client = createClientFor(values, context.environment, clock);
  const signal = context.interruption();
  const outcomes: FileOutcome[] = [];
  try {
    let unreadable = 0;
    const files = await findFiles(paths, {
      base: resolve(values.base ?? '.'),
      mostFiles,
      signal,
      onUnreadable: (folder, why) => {
        unreadable++;
        output.note(`${folder} cannot be read (${why}) and is left out.`);
      },
    });
    if (files.length === 0) {
      throw new UsageError(`There is nothing to ingest: no files that end in ${readExtensions.join(' ')}.`);
    }
    await greet(client, signal);
    const progress = output.progress('Ingesting', files.length);
    try {
      await sendFiles(client, files, {
        acl: aclOf(values),
        concurrency,
        wait: values.wait !== false,
        clock,
        signal,
        onOutcome: (outcome) => {
          outcomes.push(outcome);
          progress.update(outcomes.length, outcome.file.externalId);
        },
      });
    } catch (error) {
      progress.end();
      // What is there already is not sent again.
      output.note(
        `${outcomes.length} of ${files.length} files were done. The same command again goes on with the rest.`,
      );
      throw error;
    }
    progress.end();
    const exitCode = report(outcomes, output);
    return unreadable > 0 ? exitCodes.failed : exitCode;
  } catch (error) {
    if (signal.aborted) throw new Interrupted();
    throw error;
  } finally {
    await client.close();
  }
}

/** Finds out that there is no server, or that it does not take the key, before a thousand files meet it. */
async function greet(client: Client, signal: AbortSignal): Promise<void> {
  try {
    await client.call('GET', '/api/v1/documents?limit=1', { signal });
  } catch (error) {
    // A key may be made for writing only.
    if (!(error instanceof ServerRefusal && error.status === 403)) throw error;
  }
}

function report(outcomes: readonly FileOutcome[], output: Output): number {
  const count = (result: FileOutcome['result']) =>
    outcomes.filter((outcome) => outcome.result === result).length;
  const failures = outcomes.filter(({ result }) => result === 'failed');
  output.result({
    searchable: count('searchable'),
    unchanged: count('unchanged'),
    sent: count('sent'),
    failed: failures.length,
    files: outcomes.map(({ file, result, documentId, reason, detail }) => ({
      path: file.path,
      external_id: file.externalId,
      result,
      document_id: documentId,
      ...(reason === null ? {} : { reason, detail }),
    })),
  });
  const parts = [
    [count('searchable'), 'now searchable'],
    [count('sent'), 'sent'],
    [count('unchanged'), 'unchanged'],
    [failures.length, 'failed'],
  ] as const;
  const shown = parts.filter(([n]) => n > 0).map(([n, what]) => `${n} ${what}`);
  output.line(`${outcomes.length} ${outcomes.length === 1 ? 'file' : 'files'}: ${shown.join(', ')}.`);
  for (const { file, reason, detail } of failures) {
    output.line(`  ${output.paint('bad', file.externalId)}: ${detail || reason}`);
  }
  return failures.length === 0 ? exitCodes.ok : exitCodes.failed;
}

function aclOf(values: IngestValues): Acl | null {
  const roles = commaList(values['acl-roles']);
  const groups = commaList(values['acl-groups']);
  const users = commaList(values['acl-users']);
  if (!roles && !groups && !users) return null;
  return { roles: roles ?? [], groups: groups ?? [], users: users ?? [] };
}

function wholeNumber(name: string, text: string | undefined, standard: number, most: number): number {
  if (text === undefined) return standard;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= 1 && value <= most)) {
    throw new UsageError(`--${name} takes a whole number from 1 to ${most}, not "${text}".`);
  }
  return value;
}
