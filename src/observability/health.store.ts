import { sql } from 'kysely';
import type { Database } from '../platform/database/database.ts';
import type { Availability, HealthHistory } from './health.ts';

const keepDays = 30;

/** Health history is the platform's, not a tenant's. */
export function createHealthHistory(database: Database): HealthHistory {
  return {
    async record(states, at) {
      for (const state of states) {
        const failed = state.status === 'failing' ? 1 : 0;
        await sql`insert into health_history as h (check_name, hour, samples, failures, latency_ms_max)
          values (${state.name}, date_trunc('hour', ${at}::timestamptz), 1, ${failed}, ${state.latencyMs})
          on conflict (check_name, hour) do update set
            samples = h.samples + 1, failures = h.failures + ${failed},
            latency_ms_max = greatest(h.latency_ms_max, excluded.latency_ms_max)`.execute(database.platform);
      }
      await sql`delete from health_history
        where hour < ${at}::timestamptz - make_interval(days => ${keepDays})`.execute(database.platform);
    },
    async availability(at) {
      const { rows } = await sql<{
        check_name: string;
        window: Availability['window'];
        samples: number;
        failures: number;
        latency_ms_max: number;
      }>`select h.check_name, w.name as "window", sum(h.samples)::int as samples, sum(h.failures)::int as failures,
            max(h.latency_ms_max) as latency_ms_max
          from health_history h
          join (values ('24h', interval '24 hours'), ('7d', interval '7 days'), ('30d', interval '30 days'))
            as w (name, span) on h.hour > ${at}::timestamptz - w.span
          group by h.check_name, w.name order by h.check_name, w.name`.execute(database.platform);
      return rows.map((row) => ({
        checkName: row.check_name,
        window: row.window,
        samples: row.samples,
        failures: row.failures,
        latencyMsMax: row.latency_ms_max,
      }));
    },
  };
}
