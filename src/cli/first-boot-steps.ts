import { platformPrincipal, type Region } from '../access/index.ts';
import type { Gatehouse } from '../compose.ts';
import { type Clock, systemClock } from '../platform/clock.ts';
import { AppError } from '../platform/errors.ts';
import type { FirstBootSteps } from './first-boot.ts';

const doneSetting = 'first_boot';
const demoSlug = 'demo';
const hearsWithinMs = 10_000;

/** First boot, carried out by the running server's own capabilities. */
export function firstBootSteps(
  gatehouse: Gatehouse,
  region: Region,
  clock: Pick<Clock, 'monotonicMs' | 'sleep'> = systemClock,
): FirstBootSteps {
  const { access, documents, settings } = gatehouse;
  return {
    isDone: async () => (await settings.read(doneSetting)) !== undefined,
    async markDone() {
      await settings.writeOnce(doneSetting, { done: true });
    },
    async demoTenant() {
      const found = access.tenant(demoSlug);
      if (found) return found;
      await access.createTenant({ name: 'Demo', slug: demoSlug, tier: 'starter', region }).catch((error) => {
        // Another instance that starts at the same time was quicker; this one hears of it in a moment.
        if (!(error instanceof AppError && error.code === 'conflict')) throw error;
      });
      const until = clock.monotonicMs() + hearsWithinMs;
      for (;;) {
        const made = access.tenant(demoSlug);
        if (made) return made;
        if (clock.monotonicMs() > until) throw new Error('the tenant demo was made and is not known');
        await clock.sleep(50);
      }
    },
    createOwner: (tenant, email, password) => access.createOwner(tenant, email, password),
    async createOwnerKey(tenant) {
      const { key } = await access.createKeyAsPlatform(tenant, {
        name: "the first owner's key",
        role: 'owner',
        groups: [],
        scopes: [],
        userId: null,
        expiresAt: null,
      });
      return key;
    },
    async ingest(tenant, { externalId, title, text }) {
      const principal = platformPrincipal(tenant);
      const file = await documents.files.receiveText(principal, text, 'text/markdown');
      const { row } = await documents.add(principal, file, { title, externalId });
      await documents.settled(principal, row);
    },
  };
}
