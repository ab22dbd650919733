import { type CommandContext, exitCodes } from '../command.ts';
import type { Output, Style } from '../output.ts';
import { dataDirectoryCheck, diskCheck, lockCheck } from './check-data-directory.ts';
import { databaseCheck } from './check-database.ts';
import { embeddedProgramsCheck, embeddedServerCheck } from './check-embedded.ts';
import { instancesCheck } from './check-instances.ts';
import { keyEngineCheck } from './check-key-engine.ts';
import { mailCheck } from './check-mail.ts';
import { masterKeyCheck } from './check-master-key.ts';
import { portCheck } from './check-port.ts';
import { configurationCheck, nodeCheck } from './check-program.ts';
import { providersCheck } from './check-providers.ts';
import { redisCheck } from './check-redis.ts';
import { s3Check } from './check-s3.ts';
import { serverCheck } from './check-server.ts';
import { tlsCheck } from './check-tls.ts';
import { type Facts, gatherFacts } from './facts.ts';
import { type Check, type Finding, runChecks } from './finding.ts';

/** In the order in which a start meets them, so that the first problem is the first to mend. */
export const checks: readonly Check<Facts>[] = [
  nodeCheck,
  configurationCheck,
  dataDirectoryCheck,
  diskCheck,
  lockCheck,
  embeddedProgramsCheck,
  embeddedServerCheck,
  databaseCheck,
  redisCheck,
  instancesCheck,
  s3Check,
  masterKeyCheck,
  keyEngineCheck,
  mailCheck,
  tlsCheck,
  portCheck,
  providersCheck,
  serverCheck,
];

/** Looks at everything that a start and a caller need, says what is wrong and what to do. Changes nothing. */
export async function doctor(
  values: { readonly online?: boolean; readonly url?: string; readonly key?: string; readonly ca?: string },
  context: CommandContext,
): Promise<number> {
  const { environment, clock, output } = context;
  const facts = gatherFacts({
    environment,
    clock,
    online: values.online === true,
    url: values.url,
    key: values.key,
    ca: values.ca,
  });
  const findings = await runChecks(checks, facts, clock);
  const status = overall(findings);
  output.result({ status, findings });
  for (const finding of findings) show(finding, output);
  output.line();
  output.line(summary(findings));
  return status === 'problem' ? exitCodes.failed : exitCodes.ok;
}

function overall(findings: readonly Finding[]): 'ok' | 'warning' | 'problem' {
  if (findings.some(({ status }) => status === 'problem')) return 'problem';
  return findings.some(({ status }) => status === 'warning') ? 'warning' : 'ok';
}

const styles: Readonly<Record<Finding['status'], Style>> = {
  ok: 'good',
  skipped: 'faint',
  warning: 'warning',
  problem: 'bad',
};
const statusColumns = 'problem'.length;
const checkColumns = 'embedded programs'.length;

function show(finding: Finding, output: Output): void {
  const status = output.paint(styles[finding.status], finding.status.padEnd(statusColumns));
  output.line(`${status}  ${finding.check.padEnd(checkColumns)}  ${finding.detail}`);
  if (finding.remedy)
    output.line(
      `${' '.repeat(statusColumns + checkColumns + 4)}${output.paint('strong', '→')} ${finding.remedy}`,
    );
}

function summary(findings: readonly Finding[]): string {
  const count = (status: Finding['status']) => findings.filter((finding) => finding.status === status).length;
  const problems = count('problem');
  const warnings = count('warning');
  if (problems === 0 && warnings === 0) return 'Nothing is wrong.';
  const parts = [
    problems > 0 ? `${problems} ${problems === 1 ? 'problem' : 'problems'}` : '',
    warnings > 0 ? `${warnings} ${warnings === 1 ? 'warning' : 'warnings'}` : '',
  ];
  return `${parts.filter(Boolean).join(', ')}.${problems === 0 ? ' Nothing keeps Gatehouse from starting.' : ''}`;
}
