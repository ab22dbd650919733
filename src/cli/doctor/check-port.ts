import type { Config } from '../../platform/config.ts';
import type { Facts } from './facts.ts';
import { type Check, type Finding, ok, problem, skipped } from './finding.ts';
import type { PortState } from './port-state.ts';

export const portCheck: Check<Facts> = {
  name: 'port',
  run: async (facts) => {
    if (!facts.config) return [skipped('port', 'the configuration comes first')];
    const isOurs = facts.unseen === null ? facts.directory?.lock.state === 'held' : null;
    return [portFinding(facts.config, await facts.port(), isOurs)];
  },
};

/** @param isOurs whether a Gatehouse runs on the data directory that is looked at; null when that cannot be told. */
export function portFinding(
  { host, port }: Pick<Config, 'host' | 'port'>,
  state: PortState,
  isOurs: boolean | null,
): Finding {
  const place = `port ${port} on ${host}`;
  const another = `choose another port, such as PORT=${port < 65_535 ? port + 1 : 8080}`;
  switch (state.state) {
    case 'any':
      return ok('port', 'PORT=0: the system chooses a free one');
    case 'free':
      return ok('port', `${place} is free`);
    case 'gatehouse':
      return isOurs !== false
        ? ok('port', `a Gatehouse answers on ${place}`)
        : problem(
            'port',
            `${place} is taken by a Gatehouse with another data directory`,
            `To reach that one, there is nothing to do. To start one here, stop it or ${another}.`,
          );
    case 'other_program': {
      const who = state.pid === null ? '' : ` (process ${state.pid}${state.name ? `, ${state.name}` : ''})`;
      return problem('port', `${place} is taken by another program${who}`, `Stop it, or ${another}.`);
    }
    case 'refused':
      return refusedFinding(state.code, host, port, another);
  }
}

function refusedFinding(code: string, host: string, port: number, another: string): Finding {
  switch (code) {
    case 'EACCES':
      return problem(
        'port',
        `this user may not listen on port ${port}`,
        'Choose a port above 1023, such as PORT=8080, and put a proxy in front where a lower one is needed.',
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return problem(
        'port',
        `HOST=${host} is not an address of this machine`,
        'Use HOST=127.0.0.1 for this machine only, or HOST=0.0.0.0 for every address that it has.',
      );
    default:
      return problem('port', `listening on port ${port} of ${host} fails: ${code}`, `Try to ${another}.`);
  }
}
