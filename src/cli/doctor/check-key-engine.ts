import { systemClock } from '../../platform/clock.ts';
import { type KeyEncryption, remoteEngines } from '../../platform/keyring/index.ts';
import type { SecretsConfig } from '../../platform/secrets-settings.ts';
import type { Facts } from './facts.ts';
import { type Check, type Finding, ok, problem, warning } from './finding.ts';

/** What wraps data keys when it is a service: whether it does, and whether data keys need one that is not set up. */
export const keyEngineCheck: Check<Facts> = {
  name: 'key engine',
  run: async ({ config, database }) => {
    if (!config) return [];
    const engines = remoteEngines(config.secrets, systemClock);
    const reached = await database();
    const inUse = reached.state === 'reached' ? reached.keksInUse : [];
    return [
      ...missingEngines(inUse, engines),
      ...(await Promise.all(engines.map((engine) => tried(engine, config.secrets)))),
    ];
  },
};

/** @param inUse ids of key-encryption keys. */
export function missingEngines(
  inUse: readonly string[],
  engines: readonly Pick<KeyEncryption, 'engine'>[],
): Finding[] {
  const known = ['local', ...engines.map(({ engine }) => engine)];
  return inUse
    .filter((kek) => !known.some((engine) => kek.startsWith(`${engine}:`)))
    .map((kek) =>
      problem(
        'key engine',
        `stored secrets need ${kek}, and this configuration has no way to it`,
        'Set it up again: docs/secrets.md.',
      ),
    );
}

async function tried(engine: KeyEncryption, { engine: chosen }: SecretsConfig): Promise<Finding> {
  const { ok: isWell, detail } = await engine.health();
  if (isWell) return ok('key engine', detail);
  const remedy = 'Check its address, its credentials and their policy: docs/secrets.md.';
  return engine.engine === chosen
    ? problem('key engine', detail, remedy)
    : warning('key engine', detail, remedy);
}
