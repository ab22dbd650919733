import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chunkText } from '../knowledge/index.ts';
import { createLanceDbIndex, evaluateFolder, reportText } from '../retrieval/index.ts';
import { type CommandContext, exitCodes, UsageError } from './command.ts';

/**
 * Scores passage retrieval and citations on a judged set, with an index of its own: no server is needed and no tenant's
 * documents are touched.
 * @throws AppError `invalid` when the folder is not a judged set.
 */
export async function evaluateSet(
  values: { readonly set?: string; readonly out?: string },
  { output, clock }: CommandContext,
): Promise<number> {
  if (values.set === undefined) throw new UsageError('Which judged set? --set <folder>');
  const directory = await mkdtemp(join(tmpdir(), 'gatehouse-eval-'));
  const index = createLanceDbIndex({
    uri: directory,
    clock,
    onOptimiseFailure: (_tenantId, cause) =>
      output.note(
        `The index could not be optimised: ${cause instanceof Error ? cause.message : String(cause)}`,
      ),
  });
  let progress: ReturnType<typeof output.progress> | null = null;
  try {
    const report = await evaluateFolder({
      folder: values.set,
      chunk: chunkText,
      index,
      onProgress: (done, all) => {
        progress ??= output.progress('Asking', all);
        progress.update(done);
      },
    });
    progress = endOf(progress);
    if (values.out !== undefined) await writeFile(values.out, `${JSON.stringify(report, null, 2)}\n`);
    output.result(report);
    output.line(reportText(report).trimEnd());
    return exitCodes.ok;
  } finally {
    endOf(progress);
    await index.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

function endOf(progress: { end(): void } | null): null {
  progress?.end();
  return null;
}
