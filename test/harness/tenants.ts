import { sql } from 'kysely';
import type { Database } from '../../src/platform/database/database.ts';

/** Adds a tenant of which nothing else is known, with its slug as its name. */
export async function addTenant(
  database: Pick<Database, 'platform'>,
  id: string,
  slug: string,
  timeZone = 'UTC',
): Promise<void> {
  await sql`insert into tenants (id, slug, name, tier, region, status, time_zone, created_at, updated_at)
    values (${id}, ${slug}, ${slug}, 'starter', 'eu', 'active', ${timeZone}, now(), now())`.execute(
    database.platform,
  );
}
