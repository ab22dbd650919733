import type { Target } from '../../routing/index.ts';
import type { DialectName } from '../model-call.ts';
import { providerWires } from './provider-wires.ts';

/**
 * @returns how a call in this dialect reaches a target: with its bytes as they are, in the provider's own words, or not
 *   at all. A translated call can still ask for something that the provider has not got.
 */
export function wayTo(
  target: Target,
  dialect: DialectName,
): 'passed_through' | 'translated' | 'not_possible' {
  const wire = providerWires[target.provider.kind];
  if (wire.nativePath(dialect, target) !== null) return 'passed_through';
  // Counting is a question about one maker's tokens.
  if (dialect === 'anthropic-count-tokens') return 'not_possible';
  const translated = dialect === 'openai-embeddings' ? wire.embeddings : wire.chat;
  return translated === null ? 'not_possible' : 'translated';
}
