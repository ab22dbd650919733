import { findMembers } from './json-spans.ts';

/**
 * Looks into the events of a stream without parsing them, because every token of every stream is looked at. A quotation
 * mark inside a text is escaped, so `"usage":{` can only be a member.
 */

/** Where the value of the first such member behind `from` begins, or -1. @param member in its quotation marks. */
function valueAt(event: string, member: string, from: number): number {
  for (let at = event.indexOf(member, from); at >= 0; at = event.indexOf(member, at + 1)) {
    let next = skipSpaces(event, at + member.length);
    // The same text as a value, such as {"content":"usage"}, is not followed by a colon.
    if (event.charCodeAt(next) !== 0x3a) continue;
    next = skipSpaces(event, next + 1);
    return next;
  }
  return -1;
}

export function memberOpens(event: string, member: string, opening: string, from: number): boolean {
  const at = valueAt(event, member, from);
  return at >= 0 && event[at] === opening;
}

/** Length of a member's string value as it is written, 0 when it is none. */
export function stringLength(event: string, member: string, from: number): number {
  const at = valueAt(event, member, from);
  if (at < 0 || event.charCodeAt(at) !== 0x22) return 0;
  let end = at + 1;
  for (; end < event.length; end++) {
    const code = event.charCodeAt(end);
    if (code === 0x5c) end++;
    else if (code === 0x22) break;
  }
  return end - at - 1;
}

/** Top-level members of the first object in an event, whose `data:` comes first. */
export function membersOf(event: string, wanted: readonly string[]) {
  const bytes = Buffer.from(event.slice(event.indexOf(':') + 1), 'latin1');
  return { bytes, members: findMembers(bytes, wanted) };
}

function skipSpaces(event: string, from: number): number {
  let at = from;
  while (event.charCodeAt(at) === 0x20) at++;
  return at;
}
