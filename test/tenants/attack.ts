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

type Which = 'foreign' | 'absent';

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
  // One tenant attacks; the others hold still, so that any change of theirs was made from outside.
  const [attacker] = house.tenants.slice(-1) as [Tenant];
  const victims = house.tenants.slice(0, -1);
  const suspects: Attempt[] = [];
  const flag = (leak: string) => {
    leaks.push(leak);
    tell(leak);
  };
  const before = await Promise.all(victims.map((victim) => house.holdings(victim)));
  let begun = 0;
  const player = async (lane: number): Promise<void> => {
    const draws = createDraws(seed * 1_000 + lane);
    while (begun < attempts && leaks.length < leaksTold) {
      begun++;
      if (begun % 5_000 === 0) tell(`${begun} attempts, ${leaks.length} leaks`);
      const attempt = forgeAttempt(house, victims, draws);
      // Before it is sent: what it writes, others who play at the same time may read before its reply is here.
      for (const { foreign: word } of attempt.names) brought.add(word);
      const foreign = await send(house, attacker, attempt, 'foreign');
      const absent = await send(house, attacker, attempt, 'absent');
      routes.add(`${attempt.method} ${attempt.route}`);
      replies[foreign.status] = (replies[foreign.status] ?? 0) + 1;
      if (differenceBetween(attempt, foreign, absent) && suspects.length < suspectsKept)
        suspects.push(attempt);
      for (const [which, reply] of Object.entries({ foreign, absent }) as [Which, Reply][]) {
        const found = leakIn(reply, victims, brought);
        if (found) flag(accountOf(house, attempt, which, reply, found, begun));
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, (_none, lane) => player(lane)));
  for (const suspect of suspects) {
    const difference = await confirmedDifference(house, suspect, victims, createDraws(seed));
    if (difference) flag(difference);
  }
  for (const [place, victim] of victims.entries()) {
    const held = new Set(before[place]);
    const changed = (await house.holdings(victim)).filter((line) => !held.has(line));
    const pathOf = (line: string) => line.slice(0, line.indexOf(' '));
    for (const line of changed) {
      const former = before[place]?.find((one) => pathOf(one) === pathOf(line)) ?? '';
      flag(`what ${victim.slug} holds was changed: ${firstDifference(former, line)}`);
    }
  }
  for (const line of leaksInLog(house)) flag(line);
  return { attempts: begun, replies, routes: routes.size, suspects: suspects.length, leaks };
}

/**
 * All that is needed to know why a reply was flagged: the attempt, the reply, what the server's log says of it, and what was
 * flagged of it. Keys are told by their beginning.
 */
function accountOf(
  house: House,
  attempt: Attempt,
  which: Which,
  reply: Reply,
  found: string,
  number: number,
): string {
  const { path, headers, body } = written(attempt, which);
  const correlationId = reply.headers.get('x-correlation-id') ?? 'none';
  const { stdout, stderr } = house.server.output();
  const logged = `${stdout}\n${stderr}`.split('\n').filter((line) => line.includes(correlationId));
  const told = [
    found,
    `attempt ${number} as ${attempt.role}, with ${which} names: ${attempt.method} ${path}`,
    `headers ${JSON.stringify(headers)}, body ${body?.slice(0, 1_000) ?? 'none'}`,
    `reply ${reply.status} (${correlationId}): ${reply.text.slice(0, 2_000)}`,
    ...logged.slice(0, 10).map((line) => `log ${line.slice(0, 2_000)}`),
  ].join('\n    ');
  const keys = house.tenants.flatMap((tenant) => Object.values(tenant.keys));
  return keys.reduce((text, key) => text.replaceAll(key, `${key.slice(0, 8)}…`), told);
}

/** Where two texts part, with a little of each around it. */
function firstDifference(former: string, latter: string): string {
  let at = 0;
  while (at < former.length && former[at] === latter[at]) at++;
  const from = Math.max(0, at - 200);
  return `${latter.slice(0, 80)}… at ${at}: "${former.slice(from, at + 200)}" became "${latter.slice(from, at + 200)}"`;
}

function send(house: House, sender: Pick<Tenant, 'keys'>, attempt: Attempt, which: Which): Promise<Reply> {
  const { path, headers, body } = written(attempt, which);
  return call(house.server.url, sender.keys[attempt.role] ?? '', attempt.method, path, body, headers);
}

/**
 * What an attacker wrote into its own tenant makes a difference, too, and so does what it does at the same time. Two tenants
 * that did nothing so far ask again, each one request after another: a wall with a hole differs each time, between what is
 * another's and what is nobody's, and not between two names that are nobody's.
 */
async function confirmedDifference(
  house: House,
  attempt: Attempt,
  victims: readonly Tenant[],
  draws: Draws,
): Promise<string | null> {
  let found: string | null = null;
  for (let turn = 0; turn < 2; turn++) {
    const first = withOtherNames(attempt, victims, draws);
    const last = withOtherNames(attempt, victims, draws);
    const asker = await house.newcomer(attempt.role);
    const nobody = await send(house, asker, first, 'absent');
    const foreign = await send(house, asker, first, 'foreign');
    const nobodyAgain = await send(house, asker, last, 'absent');
    const difference = differenceBetween(first, foreign, nobody);
    if (difference === null || !differenceBetween(last, foreign, nobodyAgain)) return null;
    found = accountOf(house, first, 'foreign', foreign, difference, 0);
  }
  return found;
}

/** What a reply holds of another tenant's that no request brought along. */
function leakIn(reply: Reply, victims: readonly Tenant[], brought: ReadonlySet<string>): string | null {
  const came = `${reply.text}\n${[...reply.headers].join('\n')}`;
  for (const victim of victims) {
    const ids = [victim.id, ...victim.ids].filter((id) => tells(came, id));
    const secrets = victim.secrets.filter((secret) => came.includes(secret));
    const told = [...ids, ...secrets].find((word) => !brought.has(word));
    if (told !== undefined) return `${reply.status} tells "${told}" of ${victim.slug}`;
  }
  // Other failures are those of providers that the attacker set up itself, and said so.
  return reply.status === 500 ? `${reply.status} ${reply.text.slice(0, 300)}` : null;
}

/** Whether a text holds an id as it is: one that another id only begins with (`…-2` of `…-21`) is not told. */
function tells(text: string, id: string): boolean {
  for (let at = text.indexOf(id); at >= 0; at = text.indexOf(id, at + 1)) {
    if (!/[A-Za-z0-9]/.test(text[at + id.length] ?? '') && !/[A-Za-z0-9]/.test(text[at - 1] ?? ''))
      return true;
  }
  return false;
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
