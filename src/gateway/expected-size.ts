import type { OutputSizes } from '../costs/index.ts';
import { noUsage, type TokenUsage } from '../costs/index.ts';
import type { Target } from '../routing/index.ts';
import type { ModelCall } from './model-call.ts';

const bytesPerToken = 4;
const signsOfFiles = ['image', 'base64'].map((sign) => Buffer.from(sign));

/**
 * What a call is expected to use at a target: its prompt by our own estimate, and as much output as calls like it had,
 * or as the caller allows if that is less. Counting tokens uses none.
 */
export function expectedSize(
  call: ModelCall,
  target: Target,
  route: string | null,
  sizes: Pick<OutputSizes, 'expect'>,
): TokenUsage {
  const { operation } = call.dialect;
  if (operation === 'count_tokens') return noUsage;
  const { tenantId } = call.caller.principal;
  const of = { tenantId, route, model: target.model };
  return {
    ...noUsage,
    inputTokens: inputTokens(call, target),
    outputTokens: operation === 'chat' ? sizes.expect(of, call.request.outputBound) : 0,
  };
}

/**
 * The size of the body tells enough of a request that is all text, and costs nothing to know. Pictures and files are
 * worth what their provider's rules say, whatever their size, so a request that may hold one is looked into.
 */
function inputTokens({ request }: ModelCall, target: Target): number {
  const { bytes } = request;
  if (signsOfFiles.some((sign) => bytes.includes(sign))) return request.estimateInputTokens(target);
  return Math.ceil(bytes.length / bytesPerToken);
}
