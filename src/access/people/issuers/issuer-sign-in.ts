import type { Clock } from '../../../platform/clock.ts';
import { AppError } from '../../../platform/errors.ts';
import type { Random } from '../../../platform/random.ts';
import type { Secrets } from '../../../platform/secret-box.ts';
import { hashToken, newToken } from '../one-time-token.ts';
import type { UserRow } from '../people.store.ts';
import type { SecondFactorsStore } from '../second-factors.store.ts';
import type { IssuerProtocol } from './issuer-protocol.ts';
import type { Issuers } from './issuers.service.ts';
import { returnPath } from './return-path.ts';
import type { createVouchedPeople } from './vouched-person.ts';

/** How long somebody may take at the issuer. */
export const waitsSeconds = 600;
const kind = 'issuer';

export type IssuerSignIn = ReturnType<typeof createIssuerSignIn>;

/** Signing in at an issuer: from the first click, over the issuer's pages, to a user of ours. */
export function createIssuerSignIn(deps: {
  readonly issuers: Pick<Issuers, 'enabledOne' | 'enabledById' | 'secretOf'>;
  readonly people: ReturnType<typeof createVouchedPeople>;
  readonly underWay: Pick<SecondFactorsStore, 'addUnderWay' | 'takeUnderWay'>;
  readonly openId: IssuerProtocol;
  readonly gitHub: IssuerProtocol;
  readonly secretBox: Secrets;
  readonly clock: Pick<Clock, 'now'>;
  readonly random: Pick<Random, 'bytes'>;
}) {
  const { issuers, underWay, clock } = deps;
  const protocolOf = (issuerKind: string) => (issuerKind === 'github' ? deps.gitHub : deps.openId);
  const purpose = (id: Buffer) => `sign-in:${id.toString('hex')}`;
  const ended = () =>
    new AppError('unauthenticated', 'This sign-in has ended, or was begun in another browser. Begin again.');

  return {
    /**
     * @param given `base`: where browsers reach this server, without a path.
     * @returns where the browser goes, and what it has to bring back in a cookie. @throws AppError `not_found`,
     *   `upstream_failed`.
     */
    async begin(given: {
      readonly name: string;
      readonly tenant: string | undefined;
      readonly returnTo: string | undefined;
      readonly base: string;
    }): Promise<{ url: string; browserToken: string }> {
      const issuer = await issuers.enabledOne(given.name, given.tenant);
      const { token: state, hash } = newToken(deps.random);
      const { token: browserToken, hash: browserHash } = newToken(deps.random);
      const binding = {
        redirectUri: `${given.base}/api/v1/auth/providers/${encodeURIComponent(issuer.name)}/callback`,
        state,
        nonce: newToken(deps.random).token,
        verifier: newToken(deps.random).token,
      };
      const url = await protocolOf(issuer.kind).authorizationUrl(
        issuer,
        await issuers.secretOf(issuer),
        binding,
      );
      await underWay.addUnderWay({
        id: hash,
        kind,
        state: {
          provider_id: issuer.id,
          name: issuer.name,
          browser: browserHash.toString('hex'),
          sealed: await deps.secretBox.seal(JSON.stringify(binding), purpose(hash), null),
          return_to: returnPath(given.returnTo),
        },
        expires_at: new Date(clock.now().getTime() + waitsSeconds * 1000),
      });
      return { url: url.href, browserToken };
    },

    /**
     * @param given `query`: of the callback, as it came.
     * @throws AppError `unauthenticated`: no such sign-in, another browser's, used before, or not confirmed by the issuer;
     *   `forbidden` for whoever is nobody here.
     */
    async finish(given: {
      readonly name: string;
      readonly query: string;
      readonly browserToken: string | undefined;
    }): Promise<{ user: UserRow; returnTo: string; by: string; secondFactor: boolean }> {
      const presented = new URLSearchParams(given.query).getAll('state');
      const [state] = presented;
      if (presented.length !== 1 || state === undefined || given.browserToken === undefined) throw ended();
      const id = hashToken(state);
      // Taken out before anything is looked at, so that it is used once whatever comes of it.
      const known = await underWay.takeUnderWay(id, kind, clock.now());
      if (!known || known.name !== given.name) throw ended();
      if (known.browser !== hashToken(given.browserToken).toString('hex')) throw ended();
      const issuer = await issuers.enabledById(String(known.provider_id));
      const binding = JSON.parse(await deps.secretBox.open(String(known.sealed), purpose(id), null));
      const vouched = await protocolOf(issuer.kind).exchange(issuer, await issuers.secretOf(issuer), {
        ...binding,
        query: given.query,
      });
      const user = await deps.people.userOf(issuer, vouched);
      return {
        user,
        returnTo: returnPath(String(known.return_to)),
        by: `issuer:${issuer.name}`,
        secondFactor: vouched.secondFactor,
      };
    },
  };
}
