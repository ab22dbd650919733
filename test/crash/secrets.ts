import { testAdminKey } from '../harness/server.ts';
import { type CrashRun, report } from './house.ts';

/** What a server may say once, and never again. */
export interface Printed {
  /** The database says that first boot is done: from the next start on nothing secret is said. */
  firstBootIsDone: boolean;
  /** The password that first boot printed; each printing that was cut short may have had its own. */
  readonly passwords: Set<string>;
}

/** Looks at all that a process printed, when it has ended. @param later whether first boot was done before it began. */
export function checkPrinted(
  run: CrashRun,
  printed: Printed,
  output: { stdout: string; stderr: string },
  later: boolean,
): void {
  const all = output.stdout + output.stderr;
  const password = /password (\S+)/.exec(output.stdout)?.[1];
  const secrets = [
    testAdminKey,
    ...run.tenants.flatMap((one) => [one.writerKey, one.readerKey, one.crewKey]),
  ];
  if (later) {
    secrets.push(...printed.passwords);
    if (password !== undefined) report(run, 'secrets', 'a later start printed a password');
  } else if (password !== undefined) {
    printed.passwords.add(password);
  }
  for (const secret of secrets) {
    if (all.includes(secret)) report(run, 'secrets', `${secret.slice(0, 6)}… was printed`);
  }
  if (/gh_[A-Za-z0-9]{8}/.test(all)) report(run, 'secrets', 'an API key was printed');
}
