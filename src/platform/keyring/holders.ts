import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { KeyEncryption } from './key-encryption.ts';
import type { KeyringStore } from './keyring.store.ts';

export interface HoldersDependencies {
  readonly store: Pick<KeyringStore, 'hold' | 'holders' | 'envelopeBegan' | 'beginEnvelope'>;
  readonly engines: readonly KeyEncryption[];
  readonly instanceId: string;
  readonly live: () => readonly string[];
  readonly clock: Pick<Clock, 'now' | 'monotonicMs' | 'sleep'>;
}

export type Holders = ReturnType<typeof createHolders>;

const patienceMs = 30_000;
const lookMs = 200;
/** Far below the day after which it would be forgotten. */
const sayAgainMs = 600_000;

/** Which instance has which key-encryption keys, so that none is used before all have it. */
export function createHolders(deps: HoldersDependencies) {
  const { store, clock } = deps;
  let began = false;
  let said = { ids: '', atMs: 0 };

  const say = async (): Promise<void> => {
    const known = await Promise.all(deps.engines.map((engine) => engine.knownKeyIds()));
    const ids = known.flat();
    const isSaid = ids.join() === said.ids && clock.monotonicMs() - said.atMs < sayAgainMs;
    if (isSaid) return;
    await store.hold(deps.instanceId, ids);
    said = { ids: ids.join(), atMs: clock.monotonicMs() };
  };

  /** Instances that live and do not have the key; an instance of the version before has none. */
  const without = async (kekId: string | null): Promise<string[]> => {
    const all = await store.holders();
    return deps.live().filter((id) => {
      const held = all.get(id);
      return !held || (kekId !== null && !held.some((one) => sameKey(one, kekId)));
    });
  };

  const look = async (): Promise<void> => {
    if (began) return;
    if (!(await store.envelopeBegan())) {
      if ((await without(null)).length > 0) return;
      await store.beginEnvelope(clock.now());
    }
    began = true;
  };

  return {
    envelopeBegan: () => began,
    say,
    look,
    /** @throws AppError `config_invalid` when this instance would wrap by a key that another one lacks. */
    async start(): Promise<void> {
      const [engine] = deps.engines;
      const all = await store.holders();
      const [current] = engine ? await engine.knownKeyIds() : [];
      const lacking = deps.live().filter((id) => {
        const held = id === deps.instanceId ? undefined : all.get(id);
        return held && current !== undefined && !held.some((one) => sameKey(one, current));
      });
      if (lacking.length > 0) {
        throw new AppError(
          'config_invalid',
          `The key ${current} would seal secrets here, and instance ${lacking[0]} that serves already does not have it. Give it to all of them first, in GATEHOUSE_MASTER_KEYS_OLD or as a further line of the keyring file. Nothing was changed.`,
        );
      }
      await say();
      await look();
    },
    doAllHave: async (kekId: string): Promise<boolean> => (await without(kekId)).length === 0,

    /** @throws AppError `conflict` when one of them has not got it within 30 s. */
    async everyoneHas(kekId: string): Promise<void> {
      await say();
      const until = clock.monotonicMs() + patienceMs;
      for (;;) {
        const missing = await without(kekId);
        if (missing.length === 0) return;
        if (clock.monotonicMs() >= until) {
          throw new AppError(
            'conflict',
            `Not every instance has the new key: ${missing.slice(0, 5).join(', ')} cannot read it. Nothing was changed. Do they read the same keyring file?`,
          );
        }
        await clock.sleep(lookMs);
      }
    },
  };
}

/** A service keeps versions of one key, and whoever may use one of them may use them all. */
function sameKey(one: string, other: string): boolean {
  const name = (kekId: string) => kekId.replace(/#\d+$/, '');
  return name(one) === name(other);
}
