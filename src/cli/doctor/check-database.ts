import type { DatabaseFacts, RoleRights, SchemaState } from './database-facts.ts';
import type { Facts } from './facts.ts';
import { type Check, type Finding, ok, problem, skipped, warning } from './finding.ts';

export const databaseCheck: Check<Facts> = {
  name: 'database',
  run: async (facts) => {
    if (!facts.config) return [skipped('database', 'the configuration comes first')];
    if (facts.config.databaseUrl === null && facts.unseen !== null)
      return [skipped('database', facts.unseen)];
    return databaseFindings(await facts.database(), facts.config.databaseUrl !== null);
  },
};

/** PostgreSQL 15 is the first with what the schema needs. */
const leastVersion = 150_000;
/** A transaction takes several round trips; at this distance each request would feel it. */
const slowMs = 100;

export function databaseFindings(facts: DatabaseFacts, isConfigured: boolean): Finding[] {
  switch (facts.state) {
    case 'not_running':
      return [skipped('database', 'the embedded one runs only while Gatehouse does')];
    case 'unreachable':
      return isConfigured
        ? [problem('database', `cannot be reached: ${facts.message}`, remedyFor(facts.code))]
        : [skipped('database', `the embedded one cannot be asked as this user: ${facts.message}`)];
    case 'reached': {
      const version = versionFinding(facts.version, facts.versionNumber);
      if (version) return [version];
      const reached = [
        latencyFinding(facts.version, facts.latencyMs),
        rightsFinding(facts.role, facts.rights),
      ];
      // What another role owns cannot be read, so nothing can be said of it.
      return facts.rights.foreignOwner === null ? [...reached, schemaFinding(facts.schema)] : reached;
    }
  }
}

/** @param versionNumber as PostgreSQL counts: 150004 is 15.4. @returns null when it is new enough. */
export function versionFinding(version: string, versionNumber: number): Finding | null {
  return versionNumber >= leastVersion
    ? null
    : problem(
        'database',
        `the server is PostgreSQL ${version}; 15 or newer is needed`,
        'Upgrade it, or leave DATABASE_URL unset to use the embedded server.',
      );
}

function latencyFinding(version: string, latencyMs: number): Finding {
  const detail = `PostgreSQL ${version} answers in ${latencyMs.toFixed(1)} ms`;
  return latencyMs < slowMs
    ? ok('database', detail)
    : warning(
        'database',
        detail,
        'Run Gatehouse near its database: every request waits for several answers of it.',
      );
}

export function rightsFinding(role: string, rights: RoleRights): Finding {
  const name = quoted(role);
  if (rights.foreignOwner !== null) {
    return problem(
      'database role',
      `the tables of Gatehouse in this database belong to ${rights.foreignOwner}, and this is ${role}`,
      `Name ${rights.foreignOwner} in DATABASE_URL, or as a superuser run: GRANT ${quoted(rights.foreignOwner)} TO ${name};`,
    );
  }
  if (!rights.applicationRoleExists && !rights.mayCreateRoles && !rights.isSuperuser) {
    return problem(
      'database role',
      `${role} may not create the application role gatehouse_app`,
      `As a superuser run: ALTER ROLE ${name} CREATEROLE; or: CREATE ROLE gatehouse_app NOLOGIN; GRANT gatehouse_app TO ${name};`,
    );
  }
  if (rights.applicationRoleExists && !rights.mayBeApplicationRole && !rights.isSuperuser) {
    return problem(
      'database role',
      `${role} may not act as gatehouse_app`,
      `As a superuser run: GRANT gatehouse_app TO ${name};`,
    );
  }
  if (!rights.mayCreateTables) {
    return problem(
      'database role',
      `${role} may not create tables in this database`,
      `As a superuser run, in this database: GRANT CREATE ON SCHEMA public TO ${name};`,
    );
  }
  return ok('database role', `${role} may do what is needed`);
}

export function schemaFinding(schema: SchemaState): Finding {
  if (schema.unknown.length > 0) {
    return problem(
      'schema',
      `was made by a newer Gatehouse (${schema.unknown.at(-1)} is not known here)`,
      'Run the newer version, or restore a backup made before it.',
    );
  }
  if (!schema.exists) return ok('schema', 'is made at the first start');
  return schema.pending.length === 0
    ? ok('schema', 'up to date')
    : warning(
        'schema',
        `${schema.pending.length} changes are to come: ${schema.pending.join(', ')}`,
        'The next start makes them; "gatehouse migrate" makes them without starting.',
      );
}

/** Names of errors: PostgreSQL's from its appendix A, the others from the system. */
function remedyFor(code: string): string {
  switch (code) {
    case '28P01':
      return "The password in DATABASE_URL is not this role's. Correct it; in a URL, special characters are written as %40 and the like.";
    case '28000':
      return 'The server does not let this role in from here: correct the role in DATABASE_URL, or its pg_hba.conf.';
    case '3D000':
      return 'Create the database that DATABASE_URL names: CREATE DATABASE gatehouse;';
    case '53300':
      return 'The server has no connection left: raise its max_connections, or lower DATABASE_POOL_MAX.';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'The host in DATABASE_URL is not known here. Correct it.';
    case 'ECONNREFUSED':
      return 'Nothing listens at the host and port in DATABASE_URL. Start the database, or correct them.';
    default:
      return 'Check DATABASE_URL, that the database runs, and that a firewall lets this machine through.';
  }
}

/** As an identifier is written in SQL. */
function quoted(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}
