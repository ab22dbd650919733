import { compose } from '../../src/compose.ts';
import { loadConfig } from '../../src/platform/config.ts';
import { createLog } from '../../src/platform/log.ts';
import { resolveMasterKeys } from '../../src/platform/master-key.ts';
import { systemRandom } from '../../src/platform/random.ts';
import type { Operation } from './matrix.ts';

/**
 * What the server declares, published or not. It is built for that, and neither started nor given a database.
 * @param directory is written into.
 */
export async function declaredRoutes(directory: string): Promise<Operation[]> {
  const config = loadConfig({
    GATEHOUSE_DATA_DIR: directory,
    GATEHOUSE_ADMIN_KEY: 'test-admin-key-not-a-secret',
  });
  const foundation = {
    databaseUrl: 'postgres://nobody@127.0.0.1:1/nothing',
    masterKeys: resolveMasterKeys(config.secrets, directory, systemRandom),
    dataDirectory: directory,
  };
  const { http } = await compose(config, foundation, createLog('silent'), '0.0.0');
  return http.routes.flatMap(({ method, url, access }) => {
    // Answered by the declaration of GET, or with nothing; files of the reference; and what clients do not send (fetch).
    if (['HEAD', 'OPTIONS', 'TRACE'].includes(method) || url.startsWith('/docs/')) return [];
    const path = url.replace(/:([A-Za-z_]+)/g, '{$1}').replace(/\*/g, '{any}');
    return [{ method, path, permission: 'permission' in access ? access.permission : null }];
  });
}
