import { sql } from 'kysely';
import type { Database } from './database/database.ts';

/** Facts about this installation, one JSON value a name. */
export interface PlatformSettings {
  read(name: string): Promise<unknown>;
  /** @returns what stands under the name now: the given value, or what was there first. */
  writeOnce(name: string, value: object): Promise<unknown>;
}

export function createPlatformSettings(database: Database): PlatformSettings {
  const read = async (name: string): Promise<unknown> => {
    const { rows } = await sql<{ value: unknown }>`
      select value from platform_settings where name = ${name}`.execute(database.platform);
    return rows[0]?.value;
  };
  return {
    read,
    async writeOnce(name, value) {
      await sql`insert into platform_settings (name, value, updated_at)
        values (${name}, ${JSON.stringify(value)}::jsonb, now())
        on conflict (name) do nothing`.execute(database.platform);
      return read(name);
    },
  };
}
