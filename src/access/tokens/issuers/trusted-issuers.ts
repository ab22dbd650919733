import type { TokenIssuerRow } from './issuers.store.ts';
import type { KeySet, KeySets } from './key-sets.ts';

/** Settings of an issuer with its keys. */
export interface TrustedIssuer {
  readonly settings: TokenIssuerRow;
  readonly keys: KeySet;
}

/** All who trust one issuer, the oldest first. Another array when anything about it has changed. */
export type Trust = readonly TrustedIssuer[];

export interface TrustedIssuers {
  /** @param issuer as `iss` names it. */
  by(issuer: string): Trust | undefined;
  /** Undefined for one that is switched off. */
  withId(id: string): TrustedIssuer | undefined;
  reload(): Promise<void>;
}

/** The issuers that are trusted now, in memory, by name. */
export function createTrustedIssuers(
  read: () => Promise<readonly TokenIssuerRow[]>,
  keySets: KeySets,
): TrustedIssuers {
  let byIssuer = new Map<string, { readonly trust: Trust; readonly told: string }>();

  const take = (rows: readonly TokenIssuerRow[]): void => {
    const enabled = rows.filter((row) => row.enabled);
    const keysOf = keySets.keepOnly(enabled.map(sourceOf));
    const next: typeof byIssuer = new Map();
    for (const [issuer, settings] of Map.groupBy(enabled, (row) => row.issuer)) {
      const told = JSON.stringify(settings);
      const before = byIssuer.get(issuer);
      const same = before?.told === told ? before : undefined;
      const trust = () => settings.map((row) => ({ settings: row, keys: keysOf(sourceOf(row)) }));
      next.set(issuer, same ?? { trust: trust(), told });
    }
    byIssuer = next;
  };

  // One after another, so that what was read first is never put in place of what was read later.
  let reading: Promise<void> = Promise.resolve();
  return {
    by: (issuer) => byIssuer.get(issuer)?.trust,
    withId(id) {
      for (const { trust } of byIssuer.values()) {
        const found = trust.find(({ settings }) => settings.id === id);
        if (found) return found;
      }
      return undefined;
    },
    reload() {
      const again = async () => take(await read());
      reading = reading.then(again, again);
      return reading;
    },
  };
}

function sourceOf({ issuer, jwks_uri }: TokenIssuerRow) {
  return { issuer, jwksUri: jwks_uri };
}
