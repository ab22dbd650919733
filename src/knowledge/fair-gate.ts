/** Lets work through as long as what is inside weighs no more than the capacity; waiting parties take turns. */
export interface FairGate {
  /**
   * Runs the work when there is room for it. Parties (tenants) that wait are served one piece each in turn, each
   * party's own work in the order it came; work heavier than the capacity goes through alone.
   */
  through<T>(party: string, weight: number, work: () => Promise<T>): Promise<T>;
}

interface Waiting {
  readonly weight: number;
  enter(): void;
}

export function createFairGate(capacity: number): FairGate {
  /** In the order of their turns; a party that was served goes to the end. */
  const parties = new Map<string, Waiting[]>();
  let inside = 0;

  const letIn = (): void => {
    for (;;) {
      const turn = parties.entries().next();
      if (turn.done) return;
      const [party, queue] = turn.value;
      const next = queue[0];
      // Whose turn it is keeps it until there is room, or heavy work would never get through.
      if (next && inside > 0 && inside + next.weight > capacity) return;
      parties.delete(party);
      queue.shift();
      if (queue.length > 0) parties.set(party, queue);
      if (!next) continue;
      inside += next.weight;
      next.enter();
    }
  };

  return {
    async through(party, weight, work) {
      await new Promise<void>((enter) => {
        const queue = parties.get(party) ?? [];
        queue.push({ weight, enter });
        parties.set(party, queue);
        letIn();
      });
      try {
        return await work();
      } finally {
        inside -= weight;
        letIn();
      }
    },
  };
}
