-- Up Migration

-- How far an issuer's clock may be from ours, and how old its tokens may get whatever their own end is: so that refusing what
-- was made before some instant needs to be remembered for a week and no longer.
ALTER TABLE token_issuers
  ADD COLUMN clock_skew_seconds integer NOT NULL DEFAULT 60 CHECK (clock_skew_seconds BETWEEN 0 AND 300),
  ADD COLUMN max_age_seconds integer NOT NULL DEFAULT 86400 CHECK (max_age_seconds BETWEEN 60 AND 604800),
  ADD COLUMN enabled boolean NOT NULL DEFAULT true;

-- Of whoever an issuer elsewhere vouches for there is no row: what their token says of them comes with the caller, in
-- `attributes:<JSON>` among what they read as. A reader of a document has another form, so none is taken for it.
CREATE OR REPLACE FUNCTION reader_attributes() RETURNS jsonb LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
  tokens text[] := current_reader_tokens();
  ids text[] := ARRAY(SELECT substr(token, 6) FROM unnest(tokens) token WHERE token LIKE 'user:%');
  found_attributes jsonb;
BEGIN
  SELECT attributes INTO found_attributes FROM users
    WHERE tenant_id = current_tenant() AND id = ANY (ARRAY(SELECT i::uuid FROM unnest(ids) i
      WHERE i ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'));
  IF FOUND THEN RETURN found_attributes; END IF;
  SELECT attributes INTO found_attributes FROM api_keys WHERE tenant_id = current_tenant() AND id = ANY (ids);
  IF FOUND THEN RETURN found_attributes; END IF;
  SELECT substr(token, 12)::jsonb INTO found_attributes FROM unnest(tokens) token WHERE token LIKE 'attributes:%' LIMIT 1;
  RETURN coalesce(found_attributes, '{}');
END $$;
