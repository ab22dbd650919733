import type { Upstream, UpstreamRequest } from '../upstream.ts';
import type { ProviderHttp } from './provider-http.ts';
import { providerWires } from './provider-wires.ts';
import { traceHeaders } from './trace-headers.ts';

/** Providers that speak the dialect of the call get its bytes as they came. */
export function createNativeUpstream(http: ProviderHttp): Pick<Upstream, 'send'> {
  return {
    send(request, receiver) {
      const { call, target } = request;
      return http.send(
        target.provider,
        { path: pathOf(request), headers: headersOf(request), body: call.request.bodyFor(target) },
        receiver,
      );
    },
  };
}

const contentHeaders: readonly string[] = [
  'content-type',
  'application/json',
  'accept',
  'application/json, text/event-stream',
];

function pathOf({ call, target }: UpstreamRequest): string {
  const path = providerWires[target.provider.kind].nativePath(call.dialect.name, target);
  if (path === null) throw new Error(`${target.provider.kind} does not speak ${call.dialect.name}`);
  return path;
}

function headersOf({ call, target, key }: UpstreamRequest): string[] {
  const auth = providerWires[target.provider.kind].authHeaders(key);
  const headers = [...contentHeaders, ...auth, ...traceHeaders(call.caller)];
  const { passedHeaders } = call.request;
  if (passedHeaders) headers.push(...passedHeaders);
  return headers;
}
