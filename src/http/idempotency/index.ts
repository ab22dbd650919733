export { createIdempotencyStore } from './idempotency.store.ts';
export { createIdempotency, type Idempotency } from './idempotency.ts';
export { repliesAboutDocuments } from './replies-about-documents.ts';
