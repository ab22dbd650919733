import { sql } from 'kysely';
import { z } from 'zod';
import type { Database, DatabaseScope } from '../../platform/database/database.ts';
import { AppError } from '../../platform/errors.ts';
import { allDocumentsToken, type Principal } from '../principal.ts';

/** What a tenant says of a person or a key, in names of its own; conditions of roles compare documents with it. */
export type Attributes = Readonly<Record<string, AttributeValue>>;
export type AttributeValue = string | number | boolean | readonly string[];

/** What conditions know of a reader in any case (see `reader_facts` in migrations/0023). */
const givenByTheServer: readonly string[] = ['id', 'role', 'groups'];

const text = (most: number) =>
  z
    .string()
    .max(most)
    .refine(
      (given) => given.isWellFormed() && !given.includes('\0'),
      'must be well-formed Unicode without NUL',
    );

export const attributesSchema = z
  .record(
    text(63)
      .min(1)
      .refine((name) => !givenByTheServer.includes(name), 'is given by the server: choose another name'),
    z.union([text(500), z.number(), z.boolean(), z.array(text(200)).max(50)]),
  )
  .refine((given) => Object.keys(given).length <= 50, 'must have at most 50 members')
  .describe(
    'Facts that conditions of roles speak of: strings, numbers, booleans or lists of strings, by name',
  );

/**
 * The caller's own attributes, read from the row of the user or key that they are. Null for whoever reads every document: what
 * they give is not bounded by it.
 */
export async function boundingAttributes(
  database: Database,
  principal: Principal,
): Promise<Attributes | null> {
  if (principal.readerTokens.includes(allDocumentsToken)) return null;
  const scope: DatabaseScope = principal;
  return database.inTenant(scope, async (tx) => {
    const { rows } = await sql<{ held: Attributes }>`select reader_attributes() as held`.execute(tx);
    return rows[0]?.held ?? {};
  });
}

/**
 * Nobody gives an attribute that they do not have themselves with the very same value. Under one role, whoever has fewer of
 * the same attributes never reads more: a comparison with what is missing is false.
 * @param held as `boundingAttributes` tells it.
 * @throws AppError `forbidden`, naming what is beyond them.
 */
export function refuseAttributesBeyond(
  held: Attributes | null,
  given: Readonly<Record<string, unknown>>,
): void {
  if (held === null) return;
  const beyond = Object.entries(given).find(
    ([name, value]) => !Object.hasOwn(held, name) || JSON.stringify(held[name]) !== JSON.stringify(value),
  );
  if (beyond === undefined) return;
  throw new AppError(
    'forbidden',
    `Nobody gives attributes that they do not have themselves: ${beyond[0]}. Leave it out, or ask an administrator.`,
  );
}
