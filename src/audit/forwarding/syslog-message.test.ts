import { describe, expect, it } from 'vitest';
import { isObjectDue } from './forwarder.ts';
import { datagramOf, syslogMessage, withLength } from './syslog-message.ts';

const at = new Date('2026-11-21T09:30:00.123Z');
const line = (text: string, more: object = {}) => ({
  text,
  at,
  leaf: 7,
  action: 'api_key.created',
  outcome: 'done',
  ...more,
});

describe('a syslog message', () => {
  it('has the parts of RFC 5424 in their order, and the line byte for byte', () => {
    const text = '{"leaf":7,"entry":{"text": "ä \\" "}}';
    expect(syslogMessage(line(text), 'host.example').toString()).toBe(
      `<110>1 2026-11-21T09:30:00.123Z host.example gatehouse - api_key.created - ${text}`,
    );
  });

  it('says in its priority what became of it', () => {
    const priorityOf = (outcome: string) =>
      syslogMessage(line('{}', { outcome }), 'h').toString().slice(0, 6);
    expect(['done', 'denied', 'failed'].map(priorityOf)).toEqual(['<110>1', '<108>1', '<107>1']);
  });

  it('has names of printable ASCII and bounded length only', () => {
    const message = syslogMessage(line('{}', { action: `a b\n${'é'.repeat(60)}` }), 'my host').toString();
    expect(message.split(' ').slice(2, 6)).toEqual(['my_host', 'gatehouse', '-', `a_b_${'_'.repeat(28)}`]);
    expect(syslogMessage(line('{}', { action: '' }), '').toString()).toContain(' - gatehouse - - - {}');
  });

  it('is counted in bytes, not characters', () => {
    expect(withLength(Buffer.from('äb')).toString()).toBe('3 äb');
  });

  it('that no datagram can hold is told by its hash', () => {
    const long = datagramOf(line('x'.repeat(70_000)), 'h', () => 'ab'.repeat(32)).toString();
    expect(long).toContain(`{"leaf":7,"leaf_hash":"${'ab'.repeat(32)}","omitted":`);
    expect(datagramOf(line('short'), 'h', () => 'never').toString()).toMatch(/short$/);
  });
});

describe('an object', () => {
  it('is due when the hour of its first entry is over, or when there is enough', () => {
    const hourEndAnd = (ms: number) => new Date(Date.parse('2026-11-21T10:00:00Z') + ms);
    expect(isObjectDue(at, 1, hourEndAnd(-1))).toBe(false);
    expect(isObjectDue(at, 1, hourEndAnd(9_999))).toBe(false);
    expect(isObjectDue(at, 1, hourEndAnd(10_000))).toBe(true);
    expect(isObjectDue(at, 2_000, hourEndAnd(-1))).toBe(true);
  });
});
