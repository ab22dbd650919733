import { cut } from './cut-text.ts';
import type { OutgoingMessage, ToldEvent } from './outgoing-message.ts';

/** Slack's own bounds (https://docs.slack.dev/reference/block-kit/blocks). */
const maxHeader = 150;
const maxSection = 3_000;
const maxFields = 10;
/** Slack takes 2,000 characters a field, but was seen to refuse some 13,000 in all. */
const maxValue = 400;

const marks = { info: ':information_source:', warning: ':warning:', critical: ':rotating_light:' } as const;

/**
 * The event as an incoming webhook of Slack takes it, and of the many servers that follow it: `text` for notifications and
 * for those that know no blocks, blocks for the rest.
 */
export function slackMessage(event: ToldEvent, url: string): OutgoingMessage {
  const fields = Object.entries(event.data)
    .slice(0, maxFields)
    .map(([name, value]) => ({ type: 'mrkdwn', text: fieldOf(name, value) }));
  const blocks = [
    { type: 'header', text: { type: 'plain_text', text: cut(event.title, maxHeader), emoji: false } },
    ...(event.text === ''
      ? []
      : [{ type: 'section', text: { type: 'mrkdwn', text: escaped(event.text, maxSection) } }]),
    ...(fields.length === 0 ? [] : [{ type: 'section', fields }]),
    {
      type: 'context',
      elements: [
        {
          type: 'mrkdwn',
          text: `${marks[event.severity]} ${event.severity} · ${escaped(event.kind, 100)} · ${event.occurred_at.toISOString()}`,
        },
      ],
    },
  ];
  const text = `${marks[event.severity]} ${escaped(event.title, maxSection)}`;
  return { url, headers: {}, body: JSON.stringify({ text, blocks }) };
}

function fieldOf(name: string, value: unknown): string {
  const shown = typeof value === 'string' ? value : JSON.stringify(value);
  return `*${escaped(name.replaceAll('_', ' '), 100)}*\n${escaped(shown, maxValue) || '–'}`;
}

/**
 * Text in which nothing is a command to Slack: `&`, `<` and `>` begin links, mentions and channels.
 * @param most UTF-16 units of the result; cut between characters, never within what one was turned into.
 */
function escaped(text: string, most: number): string {
  const replaced = (part: string) =>
    part.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  const whole = replaced(text);
  if (whole.length <= most) return whole;
  let length = 0;
  let end = 0;
  for (const character of text) {
    length += replaced(character).length;
    if (length >= most) break;
    end += character.length;
  }
  return `${replaced(text.slice(0, end))}…`;
}
