import type { ErrorCode } from '../platform/errors.ts';

interface ErrorRow {
  readonly status: number;
  readonly title: string;
  /** The `type` that the official OpenAI clients know errors of this kind by. */
  readonly openaiType: string;
  /** The same for the official Anthropic clients (https://platform.claude.com/docs/en/api/errors). */
  readonly anthropicType: string;
}

/** What every code means on the wire. A code without a row does not compile. `docs/errors.md` explains each. */
export const errorTable: Readonly<Record<ErrorCode, ErrorRow>> = {
  bad_request: {
    status: 400,
    title: 'Malformed request',
    openaiType: 'invalid_request_error',
    anthropicType: 'invalid_request_error',
  },
  unauthenticated: {
    status: 401,
    title: 'No valid credential',
    openaiType: 'invalid_request_error',
    anthropicType: 'authentication_error',
  },
  budget_exceeded: {
    status: 402,
    title: 'Budget spent',
    openaiType: 'insufficient_quota',
    anthropicType: 'billing_error',
  },
  forbidden: {
    status: 403,
    title: 'Not allowed',
    openaiType: 'permission_error',
    anthropicType: 'permission_error',
  },
  tenant_suspended: {
    status: 403,
    title: 'Tenant suspended',
    openaiType: 'permission_error',
    anthropicType: 'permission_error',
  },
  second_factor_required: {
    status: 403,
    title: 'A second factor is required',
    openaiType: 'permission_error',
    anthropicType: 'permission_error',
  },
  not_found: {
    status: 404,
    title: 'Not found',
    openaiType: 'invalid_request_error',
    anthropicType: 'not_found_error',
  },
  model_not_found: {
    status: 404,
    title: 'Unknown model',
    openaiType: 'invalid_request_error',
    anthropicType: 'not_found_error',
  },
  conflict: {
    status: 409,
    title: 'Conflict',
    openaiType: 'invalid_request_error',
    anthropicType: 'conflict_error',
  },
  too_large: {
    status: 413,
    title: 'Too large',
    openaiType: 'invalid_request_error',
    anthropicType: 'request_too_large',
  },
  unsupported_media_type: {
    status: 415,
    title: 'Unsupported media type',
    openaiType: 'invalid_request_error',
    anthropicType: 'invalid_request_error',
  },
  invalid: {
    status: 422,
    title: 'Invalid input',
    openaiType: 'invalid_request_error',
    anthropicType: 'invalid_request_error',
  },
  no_model_configured: {
    status: 422,
    title: 'No model configured',
    openaiType: 'invalid_request_error',
    anthropicType: 'invalid_request_error',
  },
  no_mail_configured: {
    status: 422,
    title: 'No mail configured',
    openaiType: 'invalid_request_error',
    anthropicType: 'invalid_request_error',
  },
  rate_limited: {
    status: 429,
    title: 'Limit reached',
    openaiType: 'rate_limit_error',
    anthropicType: 'rate_limit_error',
  },
  client_gone: {
    status: 499,
    title: 'Client closed the connection',
    openaiType: 'api_error',
    anthropicType: 'api_error',
  },
  internal: { status: 500, title: 'Internal error', openaiType: 'api_error', anthropicType: 'api_error' },
  upstream_rejected: {
    status: 502,
    title: 'The provider refused',
    openaiType: 'api_error',
    anthropicType: 'api_error',
  },
  upstream_failed: {
    status: 502,
    title: 'The provider failed',
    openaiType: 'api_error',
    anthropicType: 'api_error',
  },
  overloaded: {
    status: 503,
    title: 'Overloaded',
    openaiType: 'api_error',
    anthropicType: 'overloaded_error',
  },
  dependency_down: {
    status: 503,
    title: 'A dependency is down',
    openaiType: 'api_error',
    anthropicType: 'api_error',
  },
  shutting_down: {
    status: 503,
    title: 'Shutting down',
    openaiType: 'api_error',
    anthropicType: 'overloaded_error',
  },
  upstream_timeout: {
    status: 504,
    title: 'The provider did not answer in time',
    openaiType: 'api_error',
    anthropicType: 'timeout_error',
  },
  // Start-up failures never reach a caller; were one to, it is nothing the caller can mend.
  config_invalid: {
    status: 500,
    title: 'Internal error',
    openaiType: 'api_error',
    anthropicType: 'api_error',
  },
  data_directory: {
    status: 500,
    title: 'Internal error',
    openaiType: 'api_error',
    anthropicType: 'api_error',
  },
  database_unavailable: {
    status: 503,
    title: 'A dependency is down',
    openaiType: 'api_error',
    anthropicType: 'api_error',
  },
};
