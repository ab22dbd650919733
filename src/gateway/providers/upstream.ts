import type { Clock } from '../../platform/clock.ts';
import type { SendFeedback } from '../feedback.ts';
import type { Upstream, UpstreamTimeouts } from '../upstream.ts';
import { createKapaFeedback } from './kapa-feedback.ts';
import { createNativeUpstream } from './native-upstream.ts';
import { createProviderHttp } from './provider-http.ts';
import { providerWires } from './provider-wires.ts';
import { createTranslatedUpstream } from './translated-upstream.ts';

/**
 * Every provider, in the dialect of the call: one that speaks it gets the caller's bytes, every other one is asked in
 * its own words. Who sends a call cannot tell which of the two it was.
 */
export function createUpstream(
  timeouts: UpstreamTimeouts,
  clock: Pick<Clock, 'now'>,
): Upstream & { readonly sendFeedback: SendFeedback } {
  const http = createProviderHttp(timeouts);
  const native = createNativeUpstream(http);
  const translated = createTranslatedUpstream(http, clock);
  return {
    send(request, receiver) {
      const { call, target } = request;
      const speaks = providerWires[target.provider.kind].nativePath(call.dialect.name, target) !== null;
      return (speaks ? native : translated).send(request, receiver);
    },
    sendFeedback: createKapaFeedback(http),
    stop: http.stop,
  };
}
