-- Up Migration

-- An attempt before a call's last that reached a provider is a row of its own, because it may have cost something. Sums
-- add all rows; counts of calls count final rows. Rows of the version before are final and stand for themselves: null
-- there means the row's own id, and as many attempts as it says.
ALTER TABLE ledger
  ADD COLUMN call_id uuid,
  ADD COLUMN attempt integer CHECK (attempt >= 0),
  ADD COLUMN final boolean NOT NULL DEFAULT true,
  -- What an answer from the cache cost when it was made; null for every other row, and where that had no price.
  ADD COLUMN saved_nano_usd bigint CHECK (saved_nano_usd >= 0),
  ADD CONSTRAINT attempt_names_its_call CHECK (final OR (call_id IS NOT NULL AND call_id <> id));
CREATE INDEX ledger_attempts ON ledger (call_id) WHERE NOT final;

ALTER TABLE ledger DROP CONSTRAINT ledger_operation_check;
ALTER TABLE ledger ADD CONSTRAINT ledger_operation_check
  CHECK (operation IN ('chat', 'embeddings', 'count_tokens'));

-- Free is a row without a price that costs nothing: no provider was asked, or it asks nothing for it.
ALTER TABLE ledger DROP CONSTRAINT ledger_pricing_state_check;
ALTER TABLE ledger ADD CONSTRAINT ledger_pricing_state_check
  CHECK (pricing_state IN ('priced', 'unpriced', 'free')),
  ADD CONSTRAINT free_costs_nothing CHECK (pricing_state <> 'free' OR cost_nano_usd = 0);

-- An answer that was known took no attempt.
ALTER TABLE ledger DROP CONSTRAINT ledger_attempts_check;
ALTER TABLE ledger ADD CONSTRAINT ledger_attempts_check CHECK (attempts >= 0);
