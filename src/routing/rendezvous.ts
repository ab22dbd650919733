import { hash } from 'node:crypto';
import type { Target } from './resolution.ts';

const range = 2 ** 48;

/**
 * Weighted rendezvous hashing: each target of a tier gets a number of its own for a session, and the least wins. The
 * number depends on nothing but session and target, so a target that comes or goes moves only the sessions that it
 * wins or held. As -ln(u) / weight is the waiting time of a Poisson process of that rate, and the first of several
 * processes is each with its share of the rates, sessions are spread by weight.
 * @param session of one tenant, tenant included.
 * @returns a positive number.
 */
export function rendezvousNumber(session: string, target: Target): number {
  const digest = hash('sha256', `${session}\n${target.provider.name}/${target.model}`, 'buffer');
  // Half a step off both ends: neither 0 nor 1, whose logarithms would always or never win.
  const even = (digest.readUIntBE(0, 6) + 0.5) / range;
  return -Math.log(even) / target.weight;
}
