export { auditRoutes } from './audit.routes.ts';
export { type Audit, createAudit } from './audit.service.ts';
export { createAuditStore } from './audit.store.ts';
export { createAuditForwarding, forwardingRoutes, sealedAuditDestinations } from './forwarding/index.ts';
export { platformLog } from './platform-log.ts';
export { sealedAuditKeys } from './sealed-columns.ts';
export { createSequencerStore } from './sequencer.store.ts';
export { createSequencer } from './sequencer.ts';
export { type KnownKey, type Verification, verifyExport, type Witness } from './verify-export.ts';
