import { isSecretVariable } from '../secrets-settings.ts';

/** A secret that is kept elsewhere, by where it is. */
export type Reference =
  | { readonly kind: 'env'; readonly name: string }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'vault'; readonly path: string; readonly field: string };

/** Whether a secret that was given says where the secret is, instead of being it. */
export function isReference(given: string): boolean {
  return /^(env|file|vault):/.test(given);
}

/** @returns what is wrong with it, as the end of a sentence that begins with its field, when it is no usable one. */
export function parseReference(given: string): Reference | string {
  const [, kind, rest = ''] = /^(env|file|vault):(.*)$/s.exec(given) ?? [];
  if (kind === 'env') {
    return isSecretVariable(rest)
      ? { kind, name: rest }
      : 'must name a variable that begins with GATEHOUSE_SECRET_, such as env:GATEHOUSE_SECRET_OPENAI';
  }
  if (kind === 'file') {
    return /^\/[^\0]{1,4000}$/.test(rest)
      ? { kind, path: rest }
      : 'must name an absolute path, such as file:/run/secrets/openai';
  }
  if (kind === 'vault') {
    const [, path = '', field = ''] = /^([^#]{1,500})#([^#]{1,200})$/.exec(rest) ?? [];
    const parts = path.split('/');
    const isPlain = parts.every((part) => /^[A-Za-z0-9._-]+$/.test(part) && part !== '.' && part !== '..');
    return isPlain && /^[\x21-\x7e]+$/.test(field)
      ? { kind, path, field }
      : 'must name a path and a field in Vault, such as vault:teams/search/openai#api_key';
  }
  return 'must begin with env:, file: or vault:';
}
