export { createGivenSecrets, type GivenSecrets, UnreadableReference } from './given-secrets.ts';
export { isReference, parseReference, type Reference } from './reference.ts';
export {
  createSecretReferences,
  type Giver,
  noSecretReferences,
  type SecretReferences,
  type SecretReferencesDependencies,
} from './secret-references.ts';
