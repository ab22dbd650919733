-- Up Migration

-- Documents that a generation of the search index has by their words only: their vectors are still to be made, or the
-- embedding model failed. Emptied as the vectors come; a new generation is not switched to before it is empty.
CREATE TABLE index_vectors_missing (
  tenant_id uuid NOT NULL,
  generation integer NOT NULL,
  document_id uuid NOT NULL,
  -- Failures of this very document, while others succeeded.
  attempts integer NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant_id, generation, document_id),
  FOREIGN KEY (tenant_id, generation) REFERENCES index_generations (tenant_id, number) ON DELETE CASCADE
);
CALL protect_tenant_table('index_vectors_missing', 'SELECT');
