import type { SharedV4ProviderMetadata } from '@ai-sdk/provider';
import { recordOf } from '../usage/token-counts.ts';

/**
 * Providers sign what a model thought, and want it back with the results of the tools it called: without its
 * signature a second round is refused or forgets. A signature only means something to the provider that gave it, so
 * it travels under the name of its format.
 */
export interface SignedThought {
  readonly format: string;
  /** A signature of thoughts that can be read. */
  readonly signature?: string;
  /** Thoughts that only the provider can read. */
  readonly encrypted?: string;
}

interface Carrier {
  readonly format: string;
  readonly namespace: string;
  readonly signature: string;
  readonly encrypted: string;
}

const carriers: readonly Carrier[] = [
  {
    format: 'anthropic-claude-v1',
    namespace: 'anthropic',
    signature: 'signature',
    encrypted: 'redactedData',
  },
  { format: 'google-gemini-v1', namespace: 'google', signature: 'thoughtSignature', encrypted: '' },
  {
    format: 'amazon-bedrock-v1',
    namespace: 'amazonBedrock',
    signature: 'signature',
    encrypted: 'redactedContent',
  },
  { format: 'amazon-bedrock-data-v1', namespace: 'amazonBedrock', signature: '', encrypted: 'redactedData' },
];

/** @returns null when the provider signed nothing. */
export function signedThought(metadata: SharedV4ProviderMetadata | undefined): SignedThought | null {
  for (const { format, namespace, ...names } of carriers) {
    const given = recordOf(metadata?.[namespace]);
    const signature = given[names.signature];
    const encrypted = given[names.encrypted];
    if (typeof signature === 'string') return { format, signature };
    if (typeof encrypted === 'string') return { format, encrypted };
  }
  return null;
}

/** The way back. @returns undefined for a format that is not known here. */
export function thoughtMetadata({
  format,
  signature,
  encrypted,
}: SignedThought): SharedV4ProviderMetadata | undefined {
  const carrier = carriers.find((known) => known.format === format);
  if (!carrier) return undefined;
  if (signature !== undefined && carrier.signature !== '')
    return { [carrier.namespace]: { [carrier.signature]: signature } };
  if (encrypted !== undefined && carrier.encrypted !== '') {
    return { [carrier.namespace]: { [carrier.encrypted]: encrypted } };
  }
  return undefined;
}
