import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findNode } from './find-node.mjs';
import { ensureInstalled } from './install.mjs';
import { LaunchFailure } from './launch-failure.mjs';
import { openCheckout } from './open-checkout.mjs';
import { ensureSystemPackages } from './system-packages.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/** In the order of their speed, so that the cheapest failure shows first. Arguments are for Node. */
const checks = [
  { title: 'Style', args: ['node_modules/@biomejs/biome/bin/biome', 'check', '.'] },
  { title: 'Types', args: ['node_modules/typescript/bin/tsc', '--noEmit'] },
  { title: 'Import rules', args: ['tools/check-imports.ts'] },
];
const suites = ['unit', 'integration', 'stories'];

/**
 * Installs what is missing, then runs every check and every test, up to the first stage that fails, whose exit code
 * becomes ours. The last line counts the tests; a failed stage without a failed test counts as one.
 */
export async function runTests() {
  const total = { passed: 0, failed: 0, skipped: 0, leftOut: [] };
  const reports = mkdtempSync(join(tmpdir(), 'gatehouse-test-reports-'));
  try {
    process.exitCode = await runStages(total, reports);
  } catch (error) {
    if (!(error instanceof LaunchFailure)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  } finally {
    rmSync(reports, { recursive: true, force: true });
  }
  // What was not tested is not proved.
  if (process.exitCode === 0 && total.leftOut.length > 0) process.exitCode = 1;
  if (process.exitCode !== 0 && total.failed === 0) total.failed = 1;
  for (const sentence of total.leftOut) console.error(`\n${sentence}`);
  const skipped = total.skipped === 0 ? '' : `, ${total.skipped} skipped`;
  console.log(`\n${total.passed} passed, ${total.failed} failed${skipped}`);
}

async function runStages(total, reports) {
  total.leftOut = await ensureSystemPackages();
  await ensureInstalled(root, 'everything');
  const node = findNode(root);
  for (const { title, args } of checks) {
    const exitCode = await runStage(title, node, args, root);
    if (exitCode !== 0) return exitCode;
  }
  const checkout = openCheckout(root);
  try {
    return await runSuites(findNode(checkout.path), checkout.path, total, reports);
  } finally {
    checkout.remove();
  }
}

async function runSuites(node, directory, total, reports) {
  for (const suite of suites) {
    const report = join(reports, `${suite}.json`);
    const reporting = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--project', suite, ...reporting];
    const exitCode = await runStage(`Tests: ${suite}`, node, vitest, directory);
    addCounts(total, report);
    if (exitCode !== 0) return exitCode;
  }
  return 0;
}

/** @returns the exit code; that of a shell (128 and more) when a signal ended the stage. */
function runStage(title, node, args, directory) {
  console.log(`\n=== ${title} ===`);
  const began = performance.now();
  const child = spawn(node, args, { cwd: directory, stdio: 'inherit' });
  // Ctrl-C reaches the stage directly; we stay to tell the result.
  const wait = () => {};
  const passOn = () => child.kill('SIGTERM');
  process.on('SIGINT', wait);
  process.on('SIGTERM', passOn);
  return new Promise((resolve) => {
    const finish = (exitCode) => {
      process.removeListener('SIGINT', wait);
      process.removeListener('SIGTERM', passOn);
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      console.log(
        `=== ${title}: ${exitCode === 0 ? 'ok' : `failed (exit code ${exitCode})`}, ${seconds} s ===`,
      );
      resolve(exitCode);
    };
    child.once('error', (error) => {
      console.error(error.message);
      finish(1);
    });
    child.once('exit', (code, signal) => finish(code ?? (signal === 'SIGINT' ? 130 : 143)));
  });
}

function addCounts(total, report) {
  try {
    const counts = JSON.parse(readFileSync(report, 'utf8'));
    total.passed += counts.numPassedTests;
    total.failed += counts.numFailedTests;
    total.skipped += counts.numPendingTests + counts.numTodoTests;
  } catch {
    // It ended before it could report; its exit code says so.
  }
}
