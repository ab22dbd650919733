-- Up Migration

-- A reply that tells of documents is given again only to whom it would be given now. What its caller might read when it was
-- made, as one text; null: the reply does not depend on documents.
ALTER TABLE idempotency_keys ADD COLUMN standing text CHECK (length(standing) <= 200);
