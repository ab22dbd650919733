export type { KeyEncryption } from './key-encryption.ts';
export { keyringRoutes } from './keyring.routes.ts';
export { createKeyring, type Keyring, type KeyringDependencies, type KeyringStatus } from './keyring.ts';
export { createKeyringParts, remoteEngines } from './keyring-parts.ts';
export type { MasterKeys } from './master-keys.ts';
export { isStale, type SealedColumn, type SealedRow, textColumn } from './sealed-columns.ts';
