import { keyHeader, type ProviderWire } from './provider-wire.ts';

export const kapa: ProviderWire = {
  nativePath: () => null,
  authHeaders: keyHeader('x-api-key'),
  chat: null,
  embeddings: null,
};
