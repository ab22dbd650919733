import { Secret, TOTP } from 'otpauth';
import { clientId, clientSecret, type Issuer } from '../harness/issuer.ts';
import { goodPassword } from '../harness/people.ts';
import type { RunningServer } from '../harness/server.ts';
import { Guest, passkeyRequest, person, withCodes, withPasskey } from './guest.ts';

/** What is there for deeds to be done with. */
export interface Stage {
  readonly server: RunningServer;
  readonly issuer: Issuer;
  /** Where browsers reach the server, as passkeys and issuers know it. */
  readonly origin: string;
  /** Of acme. */
  readonly adminKey: string;
  readonly providerUrl: string;
}

/** A request that changes something or signs somebody in. */
export interface Asking {
  /** The owner, for acme, when absent. */
  readonly by?: Guest;
  /** What stands for parameters of the path, in their order. */
  readonly names?: readonly string[];
  readonly query?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Deed {
  /** One of the entries that tell of it. */
  readonly action: string;
  /** Makes ready what it needs, anew each time. */
  readonly prepare: (stage: Stage) => Asking | Promise<Asking>;
}

let made = 0;
const name = (kind: string) => `${kind}-${++made}`;
const nobody = '019f0c0e-7a50-7e1c-9d0e-2f6f6a1b8a11';

/** Makes something by the owner in acme. @returns the reply. */
async function make({ server }: Stage, method: string, path: string, body?: unknown): Promise<any> {
  const reply = await server.call(method, path, body, { 'x-tenant-id': 'acme' });
  if (reply.status >= 300) throw new Error(`${method} ${path}: ${reply.status} ${reply.text}`);
  return reply.json;
}

/** A deed on what was made for it. */
const on =
  (path: string, body: (n: string) => unknown, then?: unknown): Deed['prepare'] =>
  async (stage) => ({
    names: [(await make(stage, 'POST', path, body(name('made')))).id],
    ...(then === undefined ? {} : { body: then }),
  });
const give =
  (body: (n: string, stage: Stage) => unknown): Deed['prepare'] =>
  (stage) => ({ body: body(name('made'), stage) });

const key = (n: string) => ({ name: n, role: 'viewer' });
const rule = (n: string) => ({ scope: 'model', subject: n, limits: { requests_per_minute: 5 } });
const channel = (n: string) => ({ kind: 'webhook', name: n, url: 'https://hooks.example.com/in' });
const budget = (n: string) => ({ scope: 'tag', scope_id: n, period: 'day', limit_usd: '5' });
const price = (n: string) => ({ provider: n, model: n, components: { input_mtok: '1' } });
const discount = (n: string) => ({ provider: n, percent: '5' });
const document = (n: string) => ({ text: `A text of ${n}.`, title: n });
const role = (n: string) => ({ name: n, permissions: ['documents:read'] });
const route = { tiers: [{ targets: [{ provider: 'sim', model: 'gpt-4o-mini' }] }] };
const provider = ({ providerUrl }: Stage) => ({
  kind: 'openai',
  base_url: providerUrl,
  api_key: 'sk-test-key',
});
const issuerSettings = ({ issuer }: Stage) => ({
  kind: 'oidc',
  issuer: issuer.url,
  client_id: clientId,
  client_secret: clientSecret,
  domains: ['acme.example'],
  create_users: true,
  default_role: 'analyst',
});
const destination = { kind: 'webhook', url: 'https://hooks.example.com/audit' };
const invitation = (n: string) => ({ email: `${n}@acme.example` });
const bucket = {
  object: 'bucket',
  start_time: 1_767_225_600,
  end_time: 1_767_312_000,
  results: [
    {
      object: 'organization.usage.completions.result',
      model: 'gpt-4o-mini',
      input_tokens: 1,
      output_tokens: 1,
      input_cached_tokens: 0,
      num_model_requests: 1,
    },
  ],
};
const day = { from: '2026-01-01T00:00:00Z', to: '2026-01-02T00:00:00Z' };

const asThemselves =
  (body: unknown = undefined): Deed['prepare'] =>
  async ({ server }) => ({ by: (await person(server)).guest, body });
const onSomebody =
  (body?: unknown): Deed['prepare'] =>
  async ({ server }) => ({ names: [(await person(server)).id], body });
const stranger = ({ server }: Stage) => new Guest(server.url);

/** Every operation that changes something, signs somebody in or takes something home. */
export const deeds: Readonly<Record<string, Deed>> = {
  'POST /api/v1/tenants': { action: 'tenant.created', prepare: give((n) => ({ name: n, slug: n })) },
  'PATCH /api/v1/tenants/{tenant}': {
    action: 'tenant.changed',
    prepare: () => ({ names: ['acme'], body: { name: name('Acme') } }),
  },

  'POST /api/v1/keys': { action: 'api_key.created', prepare: give(key) },
  'PATCH /api/v1/keys/{id}': {
    action: 'api_key.changed',
    prepare: on('/api/v1/keys', key, { name: 'other' }),
  },
  'POST /api/v1/keys/{id}/rotate': { action: 'api_key.changed', prepare: on('/api/v1/keys', key, {}) },
  'DELETE /api/v1/keys/{id}': { action: 'api_key.changed', prepare: on('/api/v1/keys', key) },

  'POST /api/v1/auth/token': {
    action: 'sign_in.done',
    prepare: async (stage) => {
      const { email } = await person(stage.server);
      return { by: stranger(stage), body: { email, password: goodPassword } };
    },
  },
  'POST /api/v1/auth/revoke': {
    action: 'token_family.changed',
    prepare: async (stage) => {
      const { email } = await person(stage.server);
      const { json } = await stage.server.call('POST', '/api/v1/auth/token', {
        email,
        password: goodPassword,
      });
      return { by: stranger(stage), body: { token: json.refresh_token } };
    },
  },
  'POST /api/v1/auth/revocations': {
    action: 'token_revocation.created',
    prepare: () => ({ body: { jti: nobody.replace(/..$/, String(10 + (++made % 90))) } }),
  },
  'POST /api/v1/auth/signing-keys/rotate': {
    action: 'token_signing_key.created',
    prepare: () => ({ body: {} }),
  },

  'POST /api/v1/auth/sign-in': {
    action: 'sign_in.done',
    prepare: async (stage) => {
      const { email } = await person(stage.server);
      return { by: stranger(stage), body: { email, password: goodPassword } };
    },
  },
  'POST /api/v1/auth/sign-in/second-factor': {
    action: 'sign_in.done',
    prepare: async (stage) => {
      const somebody = await person(stage.server);
      const [recovery_code] = await withCodes(somebody);
      const by = stranger(stage);
      const { sign_in } = await by.make('POST', '/api/v1/auth/sign-in', {
        email: somebody.email,
        password: goodPassword,
      });
      return { by, body: { sign_in, recovery_code } };
    },
  },
  'POST /api/v1/auth/sign-in/passkey': {
    action: 'sign_in.done',
    prepare: async (stage) => {
      const somebody = await person(stage.server);
      const authenticator = await withPasskey(somebody, stage.origin);
      const by = stranger(stage);
      const { ceremony, options } = await by.make('POST', '/api/v1/auth/sign-in/passkey/options', {});
      const response = authenticator.signIn(
        { challenge: options.challenge, origin: stage.origin },
        somebody.id,
      );
      return { by, body: { ceremony, response } };
    },
  },
  'GET /api/v1/auth/providers/{name}/callback': {
    action: 'sign_in.done',
    prepare: async (stage) => {
      await make(stage, 'PUT', '/api/v1/auth/providers/acme', issuerSettings(stage));
      const subject = name('subject');
      stage.issuer.people.set(subject, { email: `${subject}@acme.example`, email_verified: true });
      const by = stranger(stage);
      const begun = await by.send('GET', '/api/v1/auth/providers/acme/start?tenant=acme');
      const back = await stage.issuer.visit(String(begun.headers.get('location')), subject);
      return { by, names: ['acme'], query: back.search };
    },
  },
  'POST /api/v1/auth/invitations/accept': {
    action: 'sign_in.done',
    prepare: async (stage) => {
      const { token } = await make(stage, 'POST', '/api/v1/users/invitations', invitation(name('guest')));
      return { by: stranger(stage), body: { token, password: goodPassword } };
    },
  },
  'POST /api/v1/auth/password/reset': {
    action: 'user.changed',
    prepare: async (stage) => {
      const { id } = await person(stage.server);
      const { token } = await make(stage, 'POST', `/api/v1/users/${id}/password-reset`);
      return { by: stranger(stage), body: { token, password: `${goodPassword}-anew` } };
    },
  },

  'POST /api/v1/auth/sign-out': { action: 'session.changed', prepare: asThemselves() },
  'DELETE /api/v1/auth/sessions': {
    action: 'session.changed',
    prepare: async (stage) => {
      const { guest, email } = await person(stage.server);
      await stranger(stage).make('POST', '/api/v1/auth/sign-in', { email, password: goodPassword });
      return { by: guest };
    },
  },
  'DELETE /api/v1/auth/sessions/{id}': {
    action: 'session.changed',
    prepare: async (stage) => {
      const { guest, email } = await person(stage.server);
      await stranger(stage).make('POST', '/api/v1/auth/sign-in', { email, password: goodPassword });
      const { sessions } = await guest.make('GET', '/api/v1/auth/sessions');
      const other = sessions.find(({ current }: { current: boolean }) => !current);
      return { by: guest, names: [other.id] };
    },
  },
  'PUT /api/v1/auth/password': {
    action: 'user.changed',
    prepare: asThemselves({ current_password: goodPassword, new_password: `${goodPassword}-anew` }),
  },
  'POST /api/v1/auth/totp': { action: 'totp.created', prepare: asThemselves({ password: goodPassword }) },
  'POST /api/v1/auth/totp/confirm': {
    action: 'recovery_code.created',
    prepare: async ({ server }) => {
      const { guest } = await person(server);
      const { secret } = await guest.make('POST', '/api/v1/auth/totp', { password: goodPassword });
      return { by: guest, body: { otp: new TOTP({ secret: Secret.fromBase32(secret) }).generate() } };
    },
  },
  'POST /api/v1/auth/totp/remove': {
    action: 'totp.deleted',
    prepare: async ({ server }) => {
      const somebody = await person(server);
      const [recovery_code] = await withCodes(somebody);
      return { by: somebody.guest, body: { recovery_code } };
    },
  },
  'POST /api/v1/auth/recovery-codes': {
    action: 'recovery_code.created',
    prepare: async ({ server }) => {
      const somebody = await person(server);
      const [recovery_code] = await withCodes(somebody);
      return { by: somebody.guest, body: { recovery_code } };
    },
  },
  'POST /api/v1/auth/passkeys': {
    action: 'passkey.created',
    prepare: async ({ server, origin }) => {
      const somebody = await person(server);
      return { by: somebody.guest, body: await passkeyRequest(somebody, origin) };
    },
  },
  'DELETE /api/v1/auth/passkeys/{id}': {
    action: 'passkey.deleted',
    prepare: async ({ server, origin }) => {
      const somebody = await person(server);
      await withPasskey(somebody, origin);
      const { passkeys } = await somebody.guest.make('GET', '/api/v1/auth/passkeys');
      return { by: somebody.guest, names: [passkeys[0].id] };
    },
  },

  'PATCH /api/v1/users/{id}': { action: 'user.changed', prepare: onSomebody({ role: 'viewer' }) },
  'DELETE /api/v1/users/{id}': { action: 'user.deleted', prepare: onSomebody() },
  'DELETE /api/v1/users/{id}/sessions': { action: 'session.changed', prepare: onSomebody() },
  'POST /api/v1/users/{id}/password-reset': { action: 'password_reset.created', prepare: onSomebody() },
  'DELETE /api/v1/users/{id}/second-factors': {
    action: 'totp.deleted',
    prepare: async ({ server }) => {
      const somebody = await person(server);
      await withCodes(somebody);
      return { names: [somebody.id] };
    },
  },
  'POST /api/v1/users/invitations': { action: 'invitation.created', prepare: give(invitation) },
  'DELETE /api/v1/users/invitations/{id}': {
    action: 'invitation.deleted',
    prepare: on('/api/v1/users/invitations', invitation),
  },
  'PUT /api/v1/auth/providers/{name}': {
    action: 'identity_provider.created',
    prepare: (stage) => ({ names: [name('issuer')], body: issuerSettings(stage) }),
  },
  'DELETE /api/v1/auth/providers/{name}': {
    action: 'identity_provider.deleted',
    prepare: async (stage) => {
      const issuer = name('issuer');
      await make(stage, 'PUT', `/api/v1/auth/providers/${issuer}`, issuerSettings(stage));
      return { names: [issuer] };
    },
  },

  'PUT /api/v1/auth/policy': {
    action: 'sign_in_policy.created',
    prepare: () => ({ body: { require_mfa: 'none' } }),
  },
  'POST /api/v1/auth/second-factor': {
    action: 'session.changed',
    prepare: async ({ server }) => {
      const somebody = await person(server);
      const [recovery_code] = await withCodes(somebody);
      return { by: somebody.guest, body: { recovery_code } };
    },
  },
  'PUT /api/v1/auth/issuers/{name}': {
    action: 'token_issuer.created',
    prepare: () => ({
      names: [name('issuer')],
      body: { issuer: `https://${name('idp')}.example`, audiences: ['gatehouse'] },
    }),
  },
  'DELETE /api/v1/auth/issuers/{name}': {
    action: 'token_issuer.deleted',
    prepare: async (stage) => {
      const issuer = name('issuer');
      const settings = { issuer: `https://${name('idp')}.example`, audiences: ['gatehouse'] };
      await make(stage, 'PUT', `/api/v1/auth/issuers/${issuer}`, settings);
      return { names: [issuer] };
    },
  },

  'POST /api/v1/roles': { action: 'role.created', prepare: give(role) },
  'PATCH /api/v1/roles/{name}': {
    action: 'role.changed',
    prepare: async (stage) => {
      const made = name('role');
      await make(stage, 'POST', '/api/v1/roles', role(made));
      return { names: [made], body: { description: 'other' } };
    },
  },
  'DELETE /api/v1/roles/{name}': {
    action: 'role.deleted',
    prepare: async (stage) => {
      const made = name('role');
      await make(stage, 'POST', '/api/v1/roles', role(made));
      return { names: [made] };
    },
  },
  'PUT /api/v1/masking-rules/{field}': {
    action: 'masking_rule.created',
    prepare: () => ({ names: [name('field').replace('-', '_')], body: { roles: ['admin'] } }),
  },
  'DELETE /api/v1/masking-rules/{field}': {
    action: 'masking_rule.deleted',
    prepare: async (stage) => {
      const field = name('field').replace('-', '_');
      await make(stage, 'PUT', `/api/v1/masking-rules/${field}`, { roles: ['admin'] });
      return { names: [field] };
    },
  },

  'PATCH /api/v1/limits/tiers/{tier}': {
    action: 'limit_tier.created',
    prepare: () => ({ names: ['enterprise'], body: { burst: 1_000 + ++made } }),
  },
  'POST /api/v1/limits/rules': { action: 'limit_rule.created', prepare: give(rule) },
  'PATCH /api/v1/limits/rules/{id}': {
    action: 'limit_rule.changed',
    prepare: on('/api/v1/limits/rules', rule, { limits: { requests_per_minute: 6 } }),
  },
  'DELETE /api/v1/limits/rules/{id}': {
    action: 'limit_rule.deleted',
    prepare: on('/api/v1/limits/rules', rule),
  },

  'POST /api/v1/notifications/channels': { action: 'notification_channel.created', prepare: give(channel) },
  'PATCH /api/v1/notifications/channels/{id}': {
    action: 'notification_channel.changed',
    prepare: on('/api/v1/notifications/channels', channel, { name: 'other' }),
  },
  'DELETE /api/v1/notifications/channels/{id}': {
    action: 'notification_channel.deleted',
    prepare: on('/api/v1/notifications/channels', channel),
  },
  'POST /api/v1/notifications/channels/{id}/secret': {
    action: 'notification_secret.created',
    prepare: on('/api/v1/notifications/channels', channel, {}),
  },
  'POST /api/v1/notifications/channels/{id}/test': {
    action: 'notification_channel.tested',
    prepare: on('/api/v1/notifications/channels', channel),
  },
  'POST /api/v1/notifications/deliveries/{id}/redeliver': {
    action: 'notification_delivery.repeated',
    // Whatever comes of it: it is told before it is looked for.
    prepare: () => ({ names: [nobody] }),
  },

  'POST /api/v1/providers': {
    action: 'provider.created',
    prepare: (stage) => ({ body: { name: name('provider'), ...provider(stage) } }),
  },
  'PUT /api/v1/providers/{provider}': {
    action: 'provider.changed',
    prepare: async (stage) => {
      const { id } = await make(stage, 'POST', '/api/v1/providers', {
        name: name('provider'),
        ...provider(stage),
      });
      return { names: [id], body: { ...provider(stage), max_concurrent: 5 } };
    },
  },
  'DELETE /api/v1/providers/{provider}': {
    action: 'provider.deleted',
    prepare: async (stage) => ({
      names: [
        (await make(stage, 'POST', '/api/v1/providers', { name: name('provider'), ...provider(stage) })).id,
      ],
    }),
  },
  'PUT /api/v1/routes/{name}': {
    action: 'route.created',
    prepare: () => ({ names: [name('route')], body: route }),
  },
  'DELETE /api/v1/routes/{name}': {
    action: 'route.deleted',
    prepare: async (stage) => {
      const made = name('route');
      await make(stage, 'PUT', `/api/v1/routes/${made}`, route);
      return { names: [made] };
    },
  },

  'POST /api/v1/costs/prices': { action: 'price.created', prepare: give(price) },
  'DELETE /api/v1/costs/prices/{id}': { action: 'price.changed', prepare: on('/api/v1/costs/prices', price) },
  'POST /api/v1/costs/discounts': { action: 'discount.created', prepare: give(discount) },
  'DELETE /api/v1/costs/discounts/{id}': {
    action: 'discount.changed',
    prepare: on('/api/v1/costs/discounts', discount),
  },
  'POST /api/v1/costs/adjustments': {
    action: 'adjustment.created',
    prepare: give((n) => ({ kind: 'credit', amount_usd: '-1', reason: n })),
  },
  'POST /api/v1/costs/adjustments/reprice': { action: 'ledger.repriced', prepare: () => ({ body: day }) },
  'POST /api/v1/costs/reconciliations': {
    action: 'reconciliation.created',
    prepare: () => ({
      body: { provider: 'sim', export: { object: 'page', data: [bucket], has_more: false, next_page: null } },
    }),
  },
  'POST /api/v1/costs/budget': { action: 'budget.created', prepare: give(budget) },
  'PATCH /api/v1/costs/budgets/{id}': {
    action: 'budget.changed',
    prepare: on('/api/v1/costs/budget', budget, { limit_usd: '6' }),
  },
  'DELETE /api/v1/costs/budgets/{id}': {
    action: 'budget.deleted',
    prepare: on('/api/v1/costs/budget', budget),
  },

  'DELETE /api/v1/cache': { action: 'cache.emptied', prepare: () => ({}) },
  'DELETE /api/v1/cache/entries/{key}': {
    action: 'cached_answer.removed',
    prepare: () => ({ names: ['a'.repeat(64)] }),
  },

  'POST /api/v1/documents': { action: 'document.created', prepare: give(document) },
  'PUT /api/v1/documents/{id}': {
    action: 'document.changed',
    prepare: on('/api/v1/documents?wait=true', document, { text: 'Another text.' }),
  },
  'PUT /api/v1/documents/{id}/acl': {
    action: 'document.changed',
    prepare: on('/api/v1/documents?wait=true', document, { groups: ['payroll'] }),
  },
  'DELETE /api/v1/documents/{id}': {
    action: 'document.deleted',
    prepare: on('/api/v1/documents?wait=true', document),
  },

  'POST /api/v1/audit-logs/keys/rotate': { action: 'audit_key.created', prepare: () => ({}) },
  'GET /api/v1/audit-logs/export': { action: 'audit_log.exported', prepare: () => ({}) },
  'PUT /api/v1/audit-logs/forwarding/{name}': {
    action: 'audit_destination.created',
    prepare: () => ({ names: [name('siem')], body: destination }),
  },
  'DELETE /api/v1/audit-logs/forwarding/{name}': {
    action: 'audit_destination.deleted',
    prepare: async (stage) => {
      const made = name('siem');
      await make(stage, 'PUT', `/api/v1/audit-logs/forwarding/${made}`, destination);
      return { names: [made] };
    },
  },
};

/** Other ways of doing one of them. */
export const otherWays: readonly (readonly [string, Deed])[] = [
  [
    'POST /api/v1/auth/token',
    {
      action: 'sign_in.done',
      prepare: async (stage) => {
        const made = await make(stage, 'POST', '/api/v1/keys', key(name('application')));
        const body = { grant_type: 'client_credentials', client_id: made.id, client_secret: made.key };
        return { by: stranger(stage), body };
      },
    },
  ],
];

/** Deeds that are not asked in the test, each with where they are. */
export const deedsElsewhere: Readonly<Record<string, string>> = {
  'POST /api/v1/keyring/rotate': 'goes on after its answer: test/keyring.test.ts',
  'PUT /api/v1/tenants/{id}/encryption-key':
    'needs a key service; its table is watched: test/lost-keys.test.ts',
  'DELETE /api/v1/tenants/{id}/encryption-key': 'the same',
  'POST /api/v1/costs/alerts/{id}/acknowledge': 'needs a budget to be passed first: src/costs/budgets',
  'POST /v1/chat/completions': 'the ledger',
  'POST /v1/embeddings': 'the ledger',
  'POST /v1/responses': 'the ledger',
  'POST /v1/messages': 'the ledger',
  'POST /api/v1/query': 'the ledger',
  'POST /v1/messages/count_tokens': 'counts, and calls nothing that costs',
  'POST /v1/feedback': "an opinion, told to the answer's provider",
  'POST /api/v1/search': 'reads documents that the caller may read',
  'POST /api/v1/routes/dry-run': 'changes nothing',
  'POST /api/v1/auth/password/forgotten':
    'needs mail: src/access/people/mail; what its link does is a deed above',
  'POST /api/v1/auth/email/verification': 'needs mail: src/access/people/mail',
  'POST /api/v1/auth/email/verify': 'needs mail: src/access/people/mail',
  'POST /api/v1/auth/second-factor/passkey': 'as /auth/second-factor: test/people/passkeys.test.ts',
  'POST /api/v1/auth/second-factor/passkey/options':
    'begins what ends elsewhere, and changes nothing of its own',
  'POST /api/v1/auth/passkeys/options': 'begins what ends elsewhere, and changes nothing of its own',
  'POST /api/v1/auth/sign-in/passkey/options': 'begins what ends elsewhere, and changes nothing of its own',
};

/** Readings that are noted nowhere, each with why. */
export const everydayReadings: readonly (readonly [RegExp, string])[] = [
  [/^\/v1\/models/, 'what one may call'],
  [/\/documents/, 'what its readers may read'],
  [/\/(account|sessions|passkeys)$/, 'one’s own'],
  [/\/limits\/|\/rate-limits$|\/tenants\/\{tenant\}$/, 'what applies to oneself'],
  [/\/health|\/versions$|openapi|jwks|^\/metrics/, 'of the machine'],
  [/^\/api\/v\d+\/(?:providers|routes)/, 'operators’ daily work; keys are not in it'],
  [
    /\/costs\/(adjustments|alerts|budget|discounts|forecast|prices|recommendations|reconciliations|summary)/,
    'sums and settings that name nobody; the ledger, breakdowns and invoices are noted',
  ],
  [/\/audit-logs\/(head|keys|consistency|\{id\}\/inclusion)$/, 'hashes and public keys, no entries'],
  [/\/start$/, 'leads to an issuer; what comes of it is a sign-in'],
];
