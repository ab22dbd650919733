const member = '"content":"';

/**
 * Finds the first text that a model wrote, in a chat reply as it comes: whole or as events. The event before it, which
 * names the role only, is no token: gateways that can still fall back to another provider hold it until there is one.
 */
export interface FirstToken {
  /** A new reply begins. */
  reset(): void;
  /** Takes a part of a reply's body. @returns whether the first text has come with it. */
  comesWith(bytes: Buffer, from: number, to: number): boolean;
}

export function createFirstToken(): FirstToken {
  let hasCome = false;
  /** The end of the part before: the network may cut anywhere. */
  let tail = '';
  return {
    reset() {
      hasCome = false;
      tail = '';
    },
    comesWith(bytes, from, to) {
      if (hasCome) return false;
      const text = tail + bytes.toString('latin1', from, to);
      hasCome = holdsText(text);
      tail = text.slice(-member.length);
      return hasCome;
    },
  };
}

function holdsText(text: string): boolean {
  for (let at = text.indexOf(member); at >= 0; at = text.indexOf(member, at + 1)) {
    const first = text[at + member.length];
    if (first !== undefined && first !== '"') return true;
  }
  return false;
}
