import {
  createAccess,
  createAccessStore,
  effectivePermissions,
  type Role,
  roles,
  tenantFacts,
} from '../access/index.ts';
import { type Config, loadConfig } from '../platform/config.ts';
import { createDatabase } from '../platform/database/database.ts';
import { AppError } from '../platform/errors.ts';
import { createIds } from '../platform/ids.ts';
import { createLog, type Log } from '../platform/log.ts';
import { systemRandom } from '../platform/random.ts';
import type { ServerValues } from './client-options.ts';
import { type CommandContext, exitCodes, UsageError } from './command.ts';
import { openFoundation } from './foundation.ts';
import { commaList } from './lists.ts';

export interface NewKeyValues extends ServerValues {
  readonly name?: string;
  readonly role?: string;
  readonly groups?: string;
  readonly scopes?: string;
  readonly expires?: string;
  readonly offline?: boolean;
}

/**
 * The way back in when every key is lost: makes one without a server. Whoever may read the database may do this, and
 * nobody else.
 * @throws AppError `data_directory` while a server runs on the embedded database, which nobody else may open then.
 */
export async function createKeyOffline(
  values: NewKeyValues,
  expiresAt: string | null,
  context: CommandContext,
): Promise<number> {
  const role = roleOf(values.role);
  const config = loadConfig(context.environment);
  // Routine remarks of the embedded server's start would only stand in the way of the key.
  const log = createLog(config.logLevel === 'info' ? 'warn' : config.logLevel);
  const made = await onDatabase(config, log, async (url) => {
    const database = createDatabase({
      url,
      pool: { min: 0, max: 2 },
      statementTimeoutMs: config.statementTimeoutMs,
      log,
      nowMs: context.clock.monotonicMs,
    });
    try {
      const store = createAccessStore(database);
      const access = createAccess({
        store,
        clock: context.clock,
        newId: createIds(context.clock, systemRandom),
        random: systemRandom,
        log,
        countFailedAuthentication: () => {},
        countCrossTenantAttempt: () => {},
        subscribe: () => {},
      });
      const tenant = chooseTenant(await store.allTenants(), values.tenant);
      const { row, key } = await access.createKeyAsPlatform(tenantFacts(tenant), {
        name: values.name ?? 'made offline',
        role,
        groups: commaList(values.groups) ?? [],
        scopes: scopesOf(values.scopes),
        userId: null,
        expiresAt: expiresAt === null ? null : new Date(expiresAt),
      });
      return { id: row.id, tenant: tenant.slug, role, key };
    } finally {
      await database.stop();
    }
  });
  const { output } = context;
  output.result(made);
  output.line(
    `Key ${made.id} with the role ${made.role} in the tenant ${made.tenant}. It is shown this once:`,
  );
  output.line();
  output.line(`  ${made.key}`);
  output.line();
  return exitCodes.ok;
}

/** A shared database is used as it stands: other instances may be running on it, of this version or of another. */
async function onDatabase<T>(config: Config, log: Log, work: (url: string) => Promise<T>): Promise<T> {
  if (config.databaseUrl !== null) return work(config.databaseUrl).catch(explainDatabase);
  const foundation = await openFoundation(config, log);
  try {
    return await work(foundation.databaseUrl);
  } finally {
    await foundation.close();
  }
}

const undefinedTable = '42P01';

function explainDatabase(cause: unknown): never {
  if (cause instanceof AppError || cause instanceof UsageError) throw cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  throw new AppError(
    'database_unavailable',
    code === undefinedTable
      ? 'The database in DATABASE_URL holds no Gatehouse yet. Start the server once: its first start makes a key.'
      : `The database in DATABASE_URL cannot be used: ${message || code}. Run: gatehouse doctor`,
    { cause },
  );
}

function chooseTenant<T extends { id: string; slug: string; created_at: Date }>(
  tenants: readonly T[],
  named: string | undefined,
): T {
  const oldestFirst = [...tenants].sort((a, b) => a.created_at.getTime() - b.created_at.getTime());
  const chosen =
    named === undefined
      ? oldestFirst[0]
      : oldestFirst.find((tenant) => tenant.id === named.toLowerCase() || tenant.slug === named);
  if (chosen) return chosen;
  if (named === undefined) {
    throw new AppError(
      'not_found',
      'There is no tenant yet. Start the server once: its first start makes one, and a key.',
    );
  }
  const known = oldestFirst.slice(0, 20).map((tenant) => tenant.slug);
  throw new AppError('not_found', `There is no tenant "${named}". There is: ${known.join(', ') || 'none'}.`);
}

function roleOf(given: string | undefined): Role {
  const role = roles.find((known) => known === given);
  if (role === undefined) {
    throw new UsageError(`--offline needs a role: --role ${roles.join(' | ')} (to get back in: owner)`);
  }
  return role;
}

function scopesOf(given: string | undefined): string[] {
  const scopes = commaList(given) ?? [];
  // An owner may do everything, so a scope that leaves an owner nothing names nothing.
  const unknown = scopes.find((scope) => effectivePermissions('owner', [scope]).size === 0);
  if (unknown !== undefined) {
    throw new UsageError(
      `"${unknown}" is not a scope; scopes are permissions such as models:call or documents:*.`,
    );
  }
  return scopes;
}
