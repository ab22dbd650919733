import { hash } from 'node:crypto';

/**
 * The id here of somebody whom an issuer elsewhere knows: the same for as long as tenant, issuer and subject are, whatever
 * becomes of the settings, so that readers of documents, limits and the audit log name them for good. A UUID of version 8
 * (RFC 9562, 5.8), which no user of our own has.
 */
export function issuedUserId(tenantId: string, issuer: string, subject: string): string {
  // No token and no setting holds a NUL, so nothing else comes to the same text.
  const digest = hash('sha256', ['user of an issuer', tenantId, issuer, subject].join('\0'));
  const variant = ((Number.parseInt(digest.slice(16, 17), 16) & 0x3) | 0x8).toString(16);
  return [
    digest.slice(0, 8),
    digest.slice(8, 12),
    `8${digest.slice(13, 16)}`,
    `${variant}${digest.slice(17, 20)}`,
    digest.slice(20, 32),
  ].join('-');
}

/** Whether an id is of that form. */
export function isIssuedUserId(id: string): boolean {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id);
}
