/** One version of the interface under /api. */
export interface ApiVersion {
  /** Digits, as they stand in the path behind `v`. */
  readonly version: string;
  readonly state: 'current' | 'supported' | 'deprecated';
  readonly since: string;
  /** Of a deprecated version: the days, in UTC, since which callers are told and after which it may stop answering. */
  readonly deprecation?: { readonly since: string; readonly sunset: string };
  /** What is different from the version before, for whoever changes over. */
  readonly changes: readonly string[];
}

/**
 * The versions that are offered, oldest first. A version is whole: what it does not change is that of the version before.
 * A new one is a line here and its changed routes in `compose/http.ts`; `docs/adding-a-capability.md` has the steps.
 */
export const apiVersions: readonly ApiVersion[] = [
  { version: '1', state: 'supported', since: '2026-11-02', changes: [] },
  {
    version: '2',
    state: 'current',
    since: '2026-11-21',
    changes: [
      'GET /costs/ledger takes filters (period, key, user, model, provider, route, prompt, tag, status, pricing) and tells money, tokens and times as objects.',
    ],
  },
];
