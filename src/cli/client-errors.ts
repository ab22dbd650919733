import type { Response } from 'undici';

/** Nothing that speaks for Gatehouse could be reached. */
export class ServerUnreachable extends Error {
  override readonly name = 'ServerUnreachable';
}

/** The server answered, and said no. */
export class ServerRefusal extends Error {
  override readonly name = 'ServerRefusal';
  readonly status: number;
  readonly code: string;
  /** What the server said, without what the message adds for a person. */
  readonly detail: string;
  readonly correlationId: string | null;
  readonly retryAfterSeconds: number | null;

  constructor(
    message: string,
    facts: Pick<ServerRefusal, 'status' | 'code' | 'detail' | 'correlationId' | 'retryAfterSeconds'>,
  ) {
    super(message);
    this.status = facts.status;
    this.code = facts.code;
    this.detail = facts.detail;
    this.correlationId = facts.correlationId;
    this.retryAfterSeconds = facts.retryAfterSeconds;
  }
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'the name is not known',
  EAI_AGAIN: 'the name could not be looked up',
  ECONNRESET: 'the connection broke',
  UND_ERR_SOCKET: 'the connection broke',
  UND_ERR_CONNECT_TIMEOUT: 'no connection in time',
  UND_ERR_HEADERS_TIMEOUT: 'no answer in time',
  UND_ERR_BODY_TIMEOUT: 'the answer stopped half-way',
  ETIMEDOUT: 'no connection in time',
  EHOSTUNREACH: 'there is no way there',
};

const untrusted =
  'its certificate is not one that is trusted here; name that of its issuer with --ca or GATEHOUSE_CA_FILE';
/** Of OpenSSL's names for what may be wrong with a certificate, those that are met. */
const tlsReasons: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: untrusted,
  SELF_SIGNED_CERT_IN_CHAIN: untrusted,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: untrusted,
  UNABLE_TO_GET_ISSUER_CERT: untrusted,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: untrusted,
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name; call it by that one',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS; its address begins with http://',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'it does not speak TLS; its address begins with http://',
  EPROTO: 'the TLS handshake failed',
};

/** The sentence for a connection that failed, with how to start a server. */
export function noServer(url: string, cause: unknown): ServerUnreachable {
  const code = codeOf(cause);
  const aboutTls = code === null ? undefined : tlsReasons[code];
  if (aboutTls !== undefined)
    return new ServerUnreachable(`Gatehouse cannot be called at ${url}: ${aboutTls}.`, { cause });
  const why = (code && reasons[code]) ?? (cause instanceof Error ? cause.message : String(cause));
  const perhapsTls =
    url.startsWith('http:') && (code === 'ECONNRESET' || code === 'UND_ERR_SOCKET')
      ? ' (perhaps it speaks TLS: then its address begins with https://)'
      : '';
  return new ServerUnreachable(
    `No Gatehouse answers at ${url}: ${why}${perhapsTls}. Start one with "npm start", or say where it is with --url or GATEHOUSE_URL.`,
    { cause },
  );
}

/** fetch wraps what really happened, and a name with several addresses has one failure for each. */
function codeOf(error: unknown): string | null {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; depth++) {
    const { code } = at as NodeJS.ErrnoException;
    if (typeof code === 'string') return code;
    at = at instanceof AggregateError ? at.errors[0] : at.cause;
  }
  return null;
}

/** Longest body of an error that is read. */
const largestProblem = 256 * 1024;

/** Reads a problem document (RFC 9457), or makes the best of something else. */
export async function refusalOf(
  response: Response,
  caller: { readonly url: string; readonly hasKey: boolean },
): Promise<ServerRefusal> {
  const problem = await readProblem(response);
  const { status } = response;
  const correlationId = problem.correlationId ?? response.headers.get('x-correlation-id');
  const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN);
  const code = problem.code ?? `http_${status}`;
  const sentences = [
    problem.detail ?? whatElse(response, caller.url),
    ...problem.fields,
    adviceFor(status, caller.hasKey),
  ];
  const trailer = correlationId ? `${status}, correlation id ${correlationId}` : `${status}`;
  return new ServerRefusal(`${sentences.filter(Boolean).join(' ')} (${trailer})`, {
    status,
    code,
    detail: problem.detail ?? `status ${status}`,
    correlationId,
    retryAfterSeconds: Number.isFinite(retryAfter) && retryAfter >= 0 ? retryAfter : null,
  });
}

interface Problem {
  readonly detail: string | null;
  readonly code: string | null;
  readonly correlationId: string | null;
  /** Field problems that the detail does not mention already. */
  readonly fields: readonly string[];
}

async function readProblem(response: Response): Promise<Problem> {
  const nothing: Problem = { detail: null, code: null, correlationId: null, fields: [] };
  const length = Number(response.headers.get('content-length') ?? 0);
  if (!/\bjson\b/.test(response.headers.get('content-type') ?? '') || length > largestProblem) {
    await response.body?.cancel();
    return nothing;
  }
  const body = await response.json().catch(() => null);
  if (typeof body !== 'object' || body === null) return nothing;
  const { detail, code, correlation_id, errors } = body as Record<string, unknown>;
  const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : null);
  const said = text(detail);
  const fields = (Array.isArray(errors) ? errors : [])
    .map((field: { path?: unknown; message?: unknown }) => `${field?.path}: ${field?.message}.`)
    .filter((line) => !said?.includes(line.slice(0, -1)));
  return { detail: said, code: text(code), correlationId: text(correlation_id), fields };
}

function whatElse(response: Response, url: string): string {
  const target = response.headers.get('location');
  if (response.status >= 300 && response.status < 400 && target) {
    return `${url} points elsewhere, to ${target}. Use that address with --url or GATEHOUSE_URL.`;
  }
  return `What answers at ${url} is perhaps not a Gatehouse: it said ${response.status} ${response.statusText}.`;
}

function adviceFor(status: number, hasKey: boolean): string {
  if (status !== 401) return '';
  return hasKey
    ? 'Check the key in --key or GATEHOUSE_API_KEY. If it is lost, stop the server and run: gatehouse keys create --role owner --offline'
    : 'Give one with --key or GATEHOUSE_API_KEY.';
}
