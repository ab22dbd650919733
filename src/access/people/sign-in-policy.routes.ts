import { problemResponses, type Routes } from '../../platform/api.ts';
import type { Mailing } from './mail/mailing.ts';
import { policyBody, policyView } from './people.schema.ts';
import type { ShownPolicy, SignInPolicy } from './sign-in-policy.ts';

const managing = { access: { permission: 'sign_in:manage' } } as const;
const tags = ['Sign-in'];

/** What administrators ask of whoever signs in. */
export function signInPolicyRoutes(parts: {
  readonly policy: SignInPolicy;
  readonly mailing: Pick<Mailing, 'how'>;
}): Routes {
  const { policy, mailing } = parts;
  const show = ({ of, tenants, platforms, ofOwners }: ShownPolicy) => ({
    of,
    require_mfa: of === 'platform' ? platforms : tenants,
    default_require_mfa: platforms,
    effective_require_mfa: of === 'platform' ? platforms : (tenants ?? platforms),
    owners_require_mfa: ofOwners,
    mail: mailing.how,
  });
  return (api) => {
    api.get(
      '/auth/policy',
      {
        config: managing,
        schema: {
          tags,
          summary: 'What is required of whoever signs in, and whether mail can be sent to them',
          response: { 200: policyView, ...problemResponses },
        },
      },
      async (request) => show(await policy.shown(request.principal)),
    );

    api.put(
      '/auth/policy',
      {
        config: managing,
        schema: {
          tags,
          summary: 'Require second factors; an owner who names no tenant sets what the platform requires',
          body: policyBody,
          response: { 200: policyView, ...problemResponses },
        },
      },
      async (request) => {
        const { require_mfa: requireMfa, owners_require_mfa: ownersRequireMfa } = request.body;
        return show(await policy.change(request.principal, { requireMfa, ownersRequireMfa }));
      },
    );
  };
}
