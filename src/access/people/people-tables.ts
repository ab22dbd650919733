import type { ColumnType } from 'kysely';
import type { MfaRequirement } from './mfa-rule.ts';

type Json<T> = ColumnType<T, string, string>;

/** The tables of people and their sign-ins (migrations 0018 and 0025), as queries see them. */
export type PeopleTables = {
  users: {
    id: string;
    tenant_id: string;
    email: string;
    name: string | null;
    role: string;
    groups: string[];
    attributes: Json<Record<string, unknown>>;
    password_hash: string | null;
    disabled_at: Date | null;
    email_verified_at: ColumnType<Date | null, Date | null | undefined, Date | null>;
    created_at: Date;
    updated_at: Date;
  };
  invitations: {
    id: string;
    tenant_id: string;
    email: string;
    role: string;
    groups: string[];
    attributes: Json<Record<string, unknown>>;
    token_hash: Buffer;
    invited_by: string;
    mailed_at: ColumnType<Date | null, Date | null | undefined, Date | null>;
    created_at: Date;
    expires_at: Date;
  };
  password_resets: {
    id: string;
    tenant_id: string;
    user_id: string;
    token_hash: Buffer;
    /** Null: an administrator hands it over. */
    mailed_at: Date | null;
    created_at: Date;
    expires_at: Date;
  };
  email_verifications: {
    id: string;
    tenant_id: string;
    user_id: string;
    token_hash: Buffer;
    created_at: Date;
    expires_at: Date;
  };
  mail_due: {
    id: string;
    tenant_id: string | null;
    kind: 'invitation' | 'password_reset' | 'email_verification';
    subject_id: string | null;
    email: string;
    attempts: number;
    created_at: Date;
    due_at: Date;
    expires_at: Date;
  };
  sign_in_policies: {
    id: string;
    tenant_id: string | null;
    require_mfa: MfaRequirement;
    owners_require_mfa: boolean;
    updated_at: Date;
  };
  sessions: {
    id: string;
    tenant_id: string;
    user_id: string;
    token_hash: Buffer;
    signed_in_by: string;
    /** Whether this very sign-in showed two factors. */
    second_factor: boolean;
    user_agent: string | null;
    address: string | null;
    created_at: Date;
    last_seen_at: Date;
    expires_at: Date;
    revoked_at: Date | null;
  };
  totp_secrets: {
    user_id: string;
    tenant_id: string;
    sealed_secret: string;
    last_step: bigint;
    created_at: Date;
    confirmed_at: Date | null;
  };
  recovery_codes: {
    id: string;
    tenant_id: string;
    user_id: string;
    code_hash: Buffer;
    used_at: Date | null;
  };
  passkeys: {
    id: string;
    tenant_id: string;
    user_id: string;
    credential_id: string;
    public_key: Buffer;
    counter: bigint;
    transports: string[];
    name: string;
    created_at: Date;
    last_used_at: Date | null;
  };
  identity_providers: {
    id: string;
    tenant_id: string | null;
    name: string;
    kind: 'google' | 'microsoft' | 'github' | 'oidc';
    issuer: string;
    client_id: string;
    sealed_client_secret: string | null;
    /** Where it is kept, when it is not kept here. */
    client_secret_reference: string | null;
    domains: string[];
    trust_email: boolean;
    trust_mfa: boolean;
    mfa_acr_values: string[];
    create_users: boolean;
    default_role: string;
    default_tenant_id: string | null;
    groups_claim: string | null;
    group_map: Json<Record<string, string>>;
    enabled: boolean;
    created_at: Date;
    updated_at: Date;
  };
  user_identities: {
    id: string;
    tenant_id: string;
    user_id: string;
    provider_id: string;
    subject: string;
    created_at: Date;
  };
  sign_ins_under_way: {
    id: Buffer;
    kind: string;
    state: Json<Record<string, unknown>>;
    attempts: number;
    expires_at: Date;
  };
  sign_in_tries: {
    counted_by: Buffer;
    tries: number;
    last_at: Date;
    locked_until: Date | null;
  };
  known_networks: {
    user_id: string;
    network_hash: Buffer;
    last_at: Date;
  };
};
