-- Up Migration

-- How far an issuer's clock may be from ours, and how old its tokens may get whatever their own end is: so that refusing what
-- was made before some instant needs to be remembered for a week and no longer.
ALTER TABLE token_issuers
  ADD COLUMN clock_skew_seconds integer NOT NULL DEFAULT 60 CHECK (clock_skew_seconds BETWEEN 0 AND 300),
  ADD COLUMN max_age_seconds integer NOT NULL DEFAULT 86400 CHECK (max_age_seconds BETWEEN 60 AND 604800),
  ADD COLUMN enabled boolean NOT NULL DEFAULT true;
