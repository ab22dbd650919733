import type { SharedV4ProviderMetadata } from '@ai-sdk/provider';
import { isObject } from '../translation/field-reader.ts';
import { type SignedThought, signedThought, thoughtMetadata } from '../translation/reasoning-carriers.ts';
import { recordOf } from '../usage/token-counts.ts';

/**
 * What other providers want back, unchanged, with the next round of a conversation: signatures over what a model
 * thought. The Responses API has one place for such a thing, `encrypted_content` of a reasoning item, which clients
 * hand back as they got it. It is not encrypted by us; whoever alters it gets the provider's refusal.
 */
export interface Sealed {
  /** Of the reasoning that the item itself holds. */
  readonly reasoning: SharedV4ProviderMetadata | undefined;
  /** Of tool calls in the same turn, by `call_id`: Gemini signs those. */
  readonly calls: ReadonlyMap<string, SharedV4ProviderMetadata>;
}

/** How content of ours begins; OpenAI's own begins with `gAAAA`. */
export const sealMark = 'gh1.';

/** @returns what goes into `encrypted_content`; null when the provider signed nothing. */
export function sealReasoning(metadata: SharedV4ProviderMetadata | undefined): string | null {
  const reasoning = signedThought(metadata);
  return reasoning && seal({ reasoning });
}

/** The same for the signature on a call. */
export function sealCall(callId: string, metadata: SharedV4ProviderMetadata | undefined): string | null {
  const signed = signedThought(metadata);
  return signed && seal({ calls: { [callId]: signed } });
}

function seal(content: object): string {
  return sealMark + Buffer.from(JSON.stringify(content)).toString('base64url');
}

/** @returns null for what was not sealed here, or not left as it was. */
export function unseal(encrypted: unknown): Sealed | null {
  if (typeof encrypted !== 'string' || !encrypted.startsWith(sealMark)) return null;
  try {
    const given = recordOf(
      JSON.parse(Buffer.from(encrypted.slice(sealMark.length), 'base64url').toString('utf8')),
    );
    const calls = Object.entries(recordOf(given.calls)).flatMap(([id, signed]) => {
      const metadata = metadataOf(signed);
      return metadata === undefined ? [] : [[id, metadata] as const];
    });
    return { reasoning: metadataOf(given.reasoning), calls: new Map(calls) };
  } catch {
    return null;
  }
}

function metadataOf(given: unknown): SharedV4ProviderMetadata | undefined {
  if (!isObject(given)) return undefined;
  const { format, signature, encrypted } = given;
  return thoughtMetadata({
    format: String(format),
    ...(typeof signature === 'string' ? { signature } : {}),
    ...(typeof encrypted === 'string' ? { encrypted } : {}),
  } satisfies SignedThought);
}
