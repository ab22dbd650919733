import type { HttpServer } from '../../src/http/index.ts';

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  /** Tests read replies as their users do, without a type. */
  readonly json: any;
  readonly text: string;
}

/** Asks something under `/api/v1` with a key. */
export type Request = (
  key: string,
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<Reply>;

/** Requests to a server in this process, past its socket. */
export function requestsTo(http: HttpServer): Request {
  return async (key, method, path, body, headers = {}) => {
    const reply = await http.api.inject({
      method,
      url: `/api/v1${path}`,
      headers: { authorization: `Bearer ${key}`, ...headers },
      ...(body === undefined ? {} : { payload: body as object }),
    });
    const isJson = String(reply.headers['content-type']).includes('json');
    return {
      status: reply.statusCode,
      headers: reply.headers,
      json: isJson ? reply.json() : undefined,
      text: reply.payload,
    };
  };
}
