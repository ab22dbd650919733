import { knownVariables, unknownVariables } from '../../platform/config.ts';
import { nearest } from '../nearest.ts';
import type { Facts } from './facts.ts';
import { type Check, type Finding, ok, problem, warning } from './finding.ts';

/** The first that runs TypeScript without being asked to, and has SQLite built in. */
const leastNodeMajor = 24;

export const nodeCheck: Check<Facts> = {
  name: 'node',
  run: async () => [nodeFinding(process.versions.node)],
};

export function nodeFinding(version: string): Finding {
  const major = Number(version.split('.')[0]);
  return major >= leastNodeMajor
    ? ok('node', version)
    : problem(
        'node',
        `this is Node ${version}; the server runs on ${leastNodeMajor} or newer, which comes with it as a package`,
        'Start by "npm start" or "node bin/gatehouse.mjs", which use that one.',
      );
}

export const configurationCheck: Check<Facts> = {
  name: 'configuration',
  run: async (facts) => {
    const wrong = facts.configProblems.map(({ path, message }) =>
      problem('configuration', `${path} ${message}`, `Set ${path} as shown, or leave it unset.`),
    );
    const unknown = unknownVariables(facts.environment).map((name) => {
      const meant = nearest(name, knownVariables());
      return warning(
        'configuration',
        `${name} is not read by anything`,
        meant ? `Did you mean ${meant}?` : 'Look it up in docs/configuration.md, or remove it.',
      );
    });
    return [...wrong, ...(wrong.length === 0 ? [ok('configuration', 'usable')] : []), ...unknown];
  },
};
