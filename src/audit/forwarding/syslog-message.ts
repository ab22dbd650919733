import type { BatchLine } from './destination.ts';

/** RFC 5424, section 6.2.1: facility 13 is that of logs that audit. */
const facility = 13;
const severities: Readonly<Record<string, number>> = { done: 6, denied: 4, failed: 3 };
/** The most that a datagram over IPv4 holds, with room for its headers. */
const maxDatagramBytes = 65_000;

/**
 * A line as RFC 5424 has it: facility 13, severity by the outcome, the action as message id, and the line itself as message,
 * byte for byte, so that its hash can be computed from it. No structured data: that takes a number from IANA.
 * @param host who sends, without spaces.
 */
export function syslogMessage({ text, at, action, outcome }: BatchLine, host: string): Buffer {
  const priority = facility * 8 + (severities[outcome] ?? 6);
  const header = `<${priority}>1 ${at.toISOString()} ${nameOf(host, 255)} gatehouse - ${nameOf(action, 32)} - `;
  return Buffer.from(header + text);
}

/** RFC 6587, section 3.4.1: each message behind its length. */
export function withLength(message: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${message.length} `), message]);
}

/** @param leafHash in hex; what is told of a message that no datagram can hold. */
export function datagramOf(line: BatchLine, host: string, leafHash: () => string): Buffer {
  const message = syslogMessage(line, host);
  if (message.length <= maxDatagramBytes) return message;
  const text = JSON.stringify({ leaf: line.leaf, leaf_hash: leafHash(), omitted: 'longer than a datagram' });
  return syslogMessage({ ...line, text }, host);
}

/** Printable ASCII without spaces; `-` for nothing. */
function nameOf(text: string, max: number): string {
  return text.replace(/[^\x21-\x7e]/g, '_').slice(0, max) || '-';
}
