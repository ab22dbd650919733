export { isReference, parseReference, type Reference } from './reference.ts';
export {
  createSecretReferences,
  noSecretReferences,
  type SecretReferences,
  type SecretReferencesDependencies,
} from './secret-references.ts';
