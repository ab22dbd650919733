import { sql } from 'kysely';
import type { Database } from '../platform/database/database.ts';
import { onlyPlace } from '../platform/place.ts';

/** A place that nobody served from for so long is forgotten: its index is built again when it returns. */
const forgottenAfter = '1 day';
/** Changes that wait for a place where nobody serves; with more, building its index again is the lesser work. */
const maxWaiting = 100_000;

/** SQL of the data directories that have an index and files of their own; all of it the platform's. */
export function createIndexPlaces(database: Database, place: string) {
  const db = database.platform;

  return {
    /**
     * From here on this place is told of every change. Waits for those who are changing documents, as they do for it.
     * @returns whether its index holds what it was told before (`known`), or may hold anything and has to go (`new`); and
     *   the place whose files bear no name of a place.
     */
    register: (): Promise<{ index: 'known' | 'new'; firstPlace: string }> =>
      db.transaction().execute(async (tx) => {
        await sql`lock table index_places in share row exclusive mode`.execute(tx);
        await sql`insert into platform_settings (name, value, updated_at)
          values ('first_place', jsonb_build_object('place', ${place}::text), now())
          on conflict (name) do nothing`.execute(tx);
        const first = await sql<{ place: string }>`
          select value->>'place' as place from platform_settings where name = 'first_place'`.execute(tx);
        const firstPlace = first.rows[0]?.place ?? place;
        const known =
          await sql`update index_places set seen_at = now() where id = ${place} returning id`.execute(tx);
        if (known.rows.length > 0) return { index: 'known', firstPlace };
        await sql`lock table index_changes in share row exclusive mode`.execute(tx);
        await sql`delete from index_changes where place = ${place}`.execute(tx);
        await sql`delete from index_generations where place = ${place}`.execute(tx);
        // What was there before places had names was this one's, if it is the first.
        const takenOver =
          firstPlace === place
            ? await sql`update index_generations set place = ${place} where place = ${onlyPlace} returning 1`.execute(
                tx,
              )
            : { rows: [] };
        if (takenOver.rows.length > 0) {
          await sql`update index_changes set place = ${place} where place = ${onlyPlace}`.execute(tx);
        }
        await sql`delete from index_changes where place = ${onlyPlace}`.execute(tx);
        await sql`insert into index_places (id, registered_at, seen_at) values (${place}, now(), now())`.execute(
          tx,
        );
        return { index: takenOver.rows.length > 0 ? 'known' : 'new', firstPlace };
      }),

    /**
     * Says that this place is served from, and forgets those that are not any more. @returns the forgotten ones.
     */
    async lookAfter(): Promise<string[]> {
      await sql`update index_places set seen_at = now() where id = ${place}`.execute(db);
      return db.transaction().execute(async (tx) => {
        const { rows } = await sql<{ id: string }>`
          delete from index_places p where id <> ${place}
            and not exists (select from live_instances i where i.place = p.id)
            and (seen_at < now() - ${forgottenAfter}::interval
              or (select count(*) from (select from index_changes c where c.place = p.id limit ${maxWaiting}) as waiting)
                >= ${maxWaiting})
          returning id`.execute(tx);
        await sql`delete from index_generations where place <> ${onlyPlace}
          and place not in (select id from index_places)`.execute(tx);
        await sql`delete from index_changes where place <> ${onlyPlace}
          and place not in (select id from index_places)`.execute(tx);
        return rows.map((row) => row.id);
      });
    },

    /** Which of the given places have not taken what changed of a document. */
    async withoutChangesOf(documentId: string, places: readonly string[]): Promise<string[]> {
      if (places.length === 0) return [];
      const { rows } = await sql<{ place: string }>`select distinct place from index_changes
        where document_id = ${documentId} and place = any(${[...places]}::uuid[])`.execute(db);
      return rows.map((row) => row.place);
    },
  };
}
