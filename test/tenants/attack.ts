import { createDraws, type Draws } from '../crash/random.ts';
import { call, type Reply } from '../harness/server.ts';
import { type Attempt, forgeAttempt, withOtherNames, written } from './forge.ts';
import { type House, openHouse, type Tenant } from './house.ts';

export interface Figures {
  readonly attempts: number;
  /** By the status of the reply. */
  readonly replies: Readonly<Record<string, number>>;
  /** Operations that were tried. */
  readonly routes: number;
  /** Attempts whose reply differed from its twin's, for whatever reason; each was looked at again. */
  readonly suspects: number;
  /** What was another's and came out, or made a difference; empty when the wall holds. */
  readonly leaks: readonly string[];
}

const atOnce = 12;
const leaksTold = 20;
const suspectsKept = 5_000;

/**
 * Plays so many attempts to reach another tenant: each is sent with another tenant's names, and once more with made-up
 * names of the same form. Nothing of another tenant's may come back, and what comes back must not tell the two apart.
 * Afterwards every tenant must hold what it held, and the server's log must hold none of their secrets.
 */
export async function attack(attempts: number, seed: number, tell: (line: string) => void): Promise<Figures> {
  const house = await openHouse(seed);
  try {
    return await attackHouse(house, attempts, seed, tell);
  } finally {
    await house.stop();
  }
}

async function attackHouse(
  house: House,
  attempts: number,
  seed: number,
  tell: (line: string) => void,
): Promise<Figures> {
  const leaks: string[] = [];
  const replies: Record<string, number> = {};
  const routes = new Set<string>();
  // What the attacker was given by us and has written into its own tenant is there for it to find again.
  const brought = new Set<string>();
  // One tenant attacks and one looks again; the others hold still, so that any change of theirs was made from outside.
  const [attacker, second] = house.tenants.slice(-2) as [Tenant, Tenant];
  const victims = house.tenants.slice(0, -2);
  const suspects: Attempt[] = [];
  const before = await Promise.all(victims.map((victim) => house.holdings(victim)));
  let begun = 0;
  const player = async (lane: number): Promise<void> => {
    const draws = createDraws(seed * 1_000 + lane);
    while (begun < attempts && leaks.length < leaksTold) {
      begun++;
      if (begun % 5_000 === 0) tell(`${begun} attempts, ${leaks.length} leaks`);
      const attempt = forgeAttempt(house, victims, draws);
      const foreign = await send(house, attacker, attempt, 'foreign');
      const absent = await send(house, attacker, attempt, 'absent');
      for (const { foreign: word } of attempt.names) brought.add(word);
      routes.add(`${attempt.method} ${attempt.route}`);
      replies[foreign.status] = (replies[foreign.status] ?? 0) + 1;
      const found = leakIn(foreign, victims, brought) ?? leakIn(absent, victims, brought);
      if (differenceBetween(attempt, foreign, absent) && suspects.length < suspectsKept)
        suspects.push(attempt);
      if (found) {
        const leak = `${attempt.method} ${JSON.stringify(written(attempt, 'foreign'))}: ${found}`;
        leaks.push(leak);
        tell(leak);
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, (_none, lane) => player(lane)));
  for (const suspect of suspects) {
    const difference = await confirmedDifference(house, second, suspect, victims, createDraws(seed));
    if (difference)
      leaks.push(`${suspect.method} ${JSON.stringify(written(suspect, 'foreign'))}: ${difference}`);
  }
  for (const [place, victim] of victims.entries()) {
    const held = new Set(before[place]);
    const changed = (await house.holdings(victim)).filter((line) => !held.has(line));
    for (const line of changed) leaks.push(`what ${victim.slug} holds was changed: ${line.slice(0, 1_000)}`);
  }
  leaks.push(...leaksInLog(house));
  return { attempts: begun, replies, routes: routes.size, suspects: suspects.length, leaks };
}

function send(house: House, sender: Tenant, attempt: Attempt, which: 'foreign' | 'absent'): Promise<Reply> {
  const { path, headers, body } = written(attempt, which);
  return call(house.server.url, sender.keys[attempt.role] ?? '', attempt.method, path, body, headers);
}

/**
 * What an attacker wrote into its own tenant makes a difference, too, and so does what it does at the same time. A tenant
 * that did nothing so far asks again, twice, one request after another: a wall with a hole differs each time, between what
 * is another's and what is nobody's, and not between two names that are nobody's.
 */
async function confirmedDifference(
  house: House,
  asker: Tenant,
  attempt: Attempt,
  victims: readonly Tenant[],
  draws: Draws,
): Promise<string | null> {
  let found: string | null = null;
  for (let turn = 0; turn < 2; turn++) {
    const first = withOtherNames(attempt, victims, draws);
    const last = withOtherNames(attempt, victims, draws);
    const nobody = await send(house, asker, first, 'absent');
    const foreign = await send(house, asker, first, 'foreign');
    const nobodyAgain = await send(house, asker, last, 'absent');
    found = differenceBetween(first, foreign, nobody);
    if (found === null || !differenceBetween(last, foreign, nobodyAgain)) return null;
  }
  return found;
}

/** What a reply holds of another tenant's that no request brought along. */
function leakIn(reply: Reply, victims: readonly Tenant[], brought: ReadonlySet<string>): string | null {
  const came = `${reply.text}\n${[...reply.headers].join('\n')}`;
  for (const victim of victims) {
    for (const word of [victim.id, ...victim.ids, ...victim.secrets]) {
      if (came.includes(word) && !brought.has(word))
        return `${reply.status} tells "${word}" of ${victim.slug}`;
    }
  }
  // Other failures are those of providers that the attacker set up itself, and said so.
  return reply.status === 500 ? `${reply.status} ${reply.text.slice(0, 300)}` : null;
}

/** Whether a refusal tells what is another's from what is nobody's. */
function differenceBetween(attempt: Attempt, foreign: Reply, absent: Reply): string | null {
  const plain = (reply: Reply, which: 'foreign' | 'absent') => {
    let text = reply.text.replace(/"(correlation|request)_id":"[^"]*"/g, '');
    for (const name of attempt.names) {
      text = text.replaceAll(name[which], '…').replaceAll(encodeURIComponent(name[which]), '…');
    }
    return `${reply.status} ${text}`;
  };
  if (attempt.names.length === 0) return null;
  // What was made, or said anew, differs by itself; what is told of it is looked at above.
  if (foreign.status < 400 && absent.status < 400) return null;
  // Too much of something at that very instant.
  if ([foreign.status, absent.status].some((status) => status === 429 || status === 503)) return null;
  const [one, other] = [plain(foreign, 'foreign'), plain(absent, 'absent')];
  return one === other ? null : `"${one.slice(0, 300)}" instead of "${other.slice(0, 300)}"`;
}

function leaksInLog(house: House): string[] {
  const { stdout, stderr } = house.server.output();
  const lines = `${stdout}\n${stderr}`.split('\n');
  const words = house.tenants.flatMap(({ secrets }) => secrets);
  return lines.flatMap((line) => {
    const word = words.find((secret) => line.includes(secret));
    return word === undefined ? [] : [`the log tells "${word}": ${line.slice(0, 300)}`];
  });
}
