import type { Clock } from '../../platform/clock.ts';
import {
  type ClientConfig,
  type Config,
  type Environment,
  loadClientConfig,
  loadConfig,
} from '../../platform/config.ts';
import { type DataDirectoryReport, inspectDataDirectory } from '../../platform/data-directory.ts';
import {
  type EmbeddedPostgresReport,
  inspectEmbeddedPostgres,
} from '../../platform/database/embedded/index.ts';
import { AppError } from '../../platform/errors.ts';
import { type DatabaseFacts, inspectDatabase } from './database-facts.ts';
import { inspectPort, type PortState } from './port-state.ts';

/** What the checks look at: found out once, when the first check asks. */
export interface Facts {
  readonly environment: Environment;
  readonly clock: Clock;
  /** Whether providers may be called. */
  readonly online: boolean;
  /** Null when the configuration is not usable; `configProblems` then says why. */
  readonly config: Config | null;
  readonly configProblems: readonly { readonly path: string; readonly message: string }[];
  readonly directory: DataDirectoryReport | null;
  /** Why what lies in the data directory cannot be looked at; null when it can. */
  readonly unseen: string | null;
  /** Where a running server is expected; null when what was given is not usable. */
  readonly client: (ClientConfig & { readonly isNamed: boolean }) | null;
  /** The files and processes of the embedded server; null when `DATABASE_URL` is used instead. */
  embedded(): Promise<EmbeddedPostgresReport | null>;
  database(): Promise<DatabaseFacts>;
  port(): Promise<PortState>;
}

export interface FactsGiven {
  readonly environment: Environment;
  readonly clock: Clock;
  readonly online: boolean;
  readonly url: string | undefined;
  readonly key: string | undefined;
  readonly ca: string | undefined;
}

export function gatherFacts(given: FactsGiven): Facts {
  const { environment, clock } = given;
  const config = attempt(() => loadConfig(environment));
  const client = attempt(() => loadClientConfig(environment));
  const usable = config.value;
  const directory = usable && inspectDataDirectory(usable.dataDir);
  const unseen = directory ? whyUnseen(directory) : 'the configuration comes first';
  const embedded = once(async () => {
    if (!usable || usable.databaseUrl !== null || unseen !== null) return null;
    return directory?.exists ? inspectEmbeddedPostgres(usable.dataDir) : null;
  });
  return {
    environment,
    clock,
    online: given.online,
    config: usable,
    configProblems: differentOnes([...config.problems, ...client.problems]),
    directory,
    unseen,
    client: client.value && {
      url: (given.url ?? client.value.url).replace(/\/+$/, ''),
      apiKey: given.key ?? client.value.apiKey,
      caFile: given.ca ?? client.value.caFile,
      isNamed: given.url !== undefined || Boolean(environment.GATEHOUSE_URL),
    },
    embedded,
    database: once(async () => {
      const url = usable?.databaseUrl ?? (await embedded())?.running?.connection?.url;
      return url ? inspectDatabase(url, clock) : { state: 'not_running' };
    }),
    port: once(() =>
      usable
        ? inspectPort(usable.host, usable.port, usable.http.tls !== null)
        : Promise.resolve({ state: 'free' }),
    ),
  };
}

function whyUnseen({ findings }: DataDirectoryReport): string | null {
  const isClosed = findings.some(({ about, severity }) => about === 'access' && severity === 'error');
  return isClosed ? 'the data directory comes first' : null;
}

interface Problem {
  readonly path: string;
  readonly message: string;
}

function attempt<T>(load: () => T): { value: T | null; problems: readonly Problem[] } {
  try {
    return { value: load(), problems: [] };
  } catch (error) {
    if (error instanceof AppError) return { value: null, problems: error.errors };
    throw error;
  }
}

function differentOnes(problems: readonly Problem[]): readonly Problem[] {
  return [...new Map(problems.map((problem) => [`${problem.path} ${problem.message}`, problem])).values()];
}

function once<T>(find: () => Promise<T>): () => Promise<T> {
  let found: Promise<T> | null = null;
  return () => {
    found ??= find();
    return found;
  };
}
