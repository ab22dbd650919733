import { digestOf } from '../journal.ts';

/** What a thinking block is signed with: opaque to the client, the same for the same thoughts. */
export function signatureOf(thinking: string): string {
  return Buffer.from(`simulator/${digestOf(thinking)}`).toString('base64');
}
