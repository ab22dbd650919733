import { cpuMsOf, machineMs } from './processes.ts';

/**
 * Watches how much of the machine goes to neither side of a benchmark: figures of a busy machine are worth less.
 * @param ownCpuMs CPU time so far of every process of the benchmark but this one, milliseconds.
 * @returns a function that prints what it was since then.
 */
export function watchQuiet(ownCpuMs: () => number): () => void {
  const read = () => ({ ...machineMs(), own: cpuMsOf(process.pid) + ownCpuMs(), at: performance.now() });
  const before = read();
  return () => {
    const after = read();
    const percent = (ms: number): string =>
      `${Math.max(0, (100 * ms) / (after.at - before.at)).toFixed(0)} %`;
    const others = after.busy - before.busy - (after.own - before.own);
    const stolen = after.stolen - before.stolen;
    process.stdout.write(
      `\nMeanwhile other processes used ${percent(others)} of one core, the host ${percent(stolen)}.\n`,
    );
  };
}
