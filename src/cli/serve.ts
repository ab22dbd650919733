import { compose, type Gatehouse } from '../compose.ts';
import { systemClock } from '../platform/clock.ts';
import { type Config, loadConfig, unknownVariables } from '../platform/config.ts';
import { createLog, type Log } from '../platform/log.ts';
import { systemRandom } from '../platform/random.ts';
import { productVersion } from '../platform/version.ts';
import { type FirstBootResult, firstBoot } from './first-boot.ts';
import { firstBootSteps } from './first-boot-steps.ts';
import { openFoundation } from './foundation.ts';
import type { Output } from './output.ts';
import { createStopSignal } from './stop-signal.ts';

/**
 * The life of the server process: foundation, build, start, listen, first boot, serve until told to stop, drain, stop.
 * @returns the exit code: 0 after a graceful stop.
 * @throws AppError with what to do when it cannot start.
 */
export async function serve(environment: NodeJS.ProcessEnv, output: Output): Promise<number> {
  const stopSignal = createStopSignal();
  const config = loadConfig(environment);
  const log = createLog(config.logLevel);
  for (const name of unknownVariables(environment))
    log.warn({ name }, 'this variable is not known and has no effect');

  const foundation = await openFoundation(config, log);
  try {
    const gatehouse = await compose(config, foundation, log, productVersion());
    try {
      await gatehouse.keyring.check();
      await gatehouse.start();
      await acceptAdminKey(gatehouse, config);
      const port = await gatehouse.http.listen(config.host, config.port);
      log.info({ host: config.host, port }, 'listening');
      await greet(gatehouse, config, port, output);
      await stopSignal.requested;
      await drain(gatehouse, config, stopSignal.again, log, output);
    } finally {
      await gatehouse.stop();
    }
  } finally {
    await foundation.close();
  }
  log.info({}, 'stopped');
  return 0;
}

/** The configured key is the owner's from the first request on; its home is the first tenant. */
async function acceptAdminKey(gatehouse: Gatehouse, config: Config): Promise<void> {
  if (config.adminKey === null) return;
  const home = await firstBootSteps(gatehouse, config.region).demoTenant();
  await gatehouse.access.acceptAdminKey(config.adminKey, home);
}

/** Readiness is 503 from here on; load balancers get a while to notice before connections are refused. */
async function drain(
  gatehouse: Gatehouse,
  config: Config,
  hurry: Promise<void>,
  log: Log,
  output: Output,
): Promise<void> {
  gatehouse.drain();
  log.info({ drain_ms: config.drainMs }, 'stopping');
  if (config.drainMs === 0) return;
  output.line('Stopping. Press Ctrl-C again to stop without waiting for load balancers.');
  const waiting = new AbortController();
  await Promise.race([systemClock.sleep(config.drainMs, waiting.signal).catch(() => {}), hurry]);
  waiting.abort();
}

async function greet(gatehouse: Gatehouse, config: Config, port: number, output: Output): Promise<void> {
  const address =
    config.publicUrl ?? `${config.http.tls ? 'https' : 'http'}://${shownHost(config.host)}:${port}`;
  const steps = firstBootSteps(gatehouse, config.region);
  // One of those that start together greets; were it killed before it could, the next start does.
  const first = gatehouse.isEldest() ? await firstBoot(steps, systemRandom, config.adminKey !== null) : null;
  if (first === null) {
    output.line(`Gatehouse is ready at ${address} (reference: ${address}/docs).`);
    output.result({ address, first_boot: null });
    return;
  }
  // In one write, so that whoever reads along never sees half of it.
  output.line(firstGreeting(address, first).join('\n'));
  const { documents, email, password, apiKey } = first;
  output.result({ address, first_boot: { documents, email, password, api_key: apiKey } });
  // Only after it was shown: interrupted before, it is shown at the next start instead of never.
  await steps.markDone();
}

function firstGreeting(address: string, first: FirstBootResult): string[] {
  const key = first.apiKey ?? '$GATEHOUSE_ADMIN_KEY';
  return [
    '',
    `Gatehouse is ready. It read ${first.documents} documents of its own, so you can ask it about itself.`,
    'This is shown once; keep it.',
    '',
    `  Address    ${address}`,
    `  Reference  ${address}/docs`,
    `  Sign in    ${first.email}   password ${first.password}`,
    `  API key    ${first.apiKey ?? 'the one in GATEHOUSE_ADMIN_KEY'}`,
    '',
    'Ask a question:',
    '',
    `  curl -s ${address}/api/v1/query -H "Authorization: Bearer ${key}" -H "Content-Type: application/json" -d '{"query":"How does Gatehouse keep tenants apart?"}'`,
    '',
  ];
}

function shownHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}
