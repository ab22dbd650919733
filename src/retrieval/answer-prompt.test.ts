import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildPrompt, notInSources } from './answer-prompt.ts';

const characters = (text: string) => text.length;
const userMessage = (
  question: string,
  passages: { title: string; heading?: string; text: string }[],
  budget = 1e6,
) =>
  buildPrompt(
    question,
    passages.map((passage) => ({ heading: '', ...passage })),
    budget,
    characters,
  ).messages[1]?.content ?? '';

describe('the prompt', () => {
  it('numbers the passages and ends in the question', () => {
    const passages = [
      { title: 'Terms', heading: 'Money > Back', text: 'Refunds take 5 days.' },
      { title: 'Staff "handbook" <draft>', text: 'Ask the desk.' },
    ];
    expect(userMessage('How long?', passages)).toBe(
      '<source id="1" title="Terms &gt; Money &gt; Back">\nRefunds take 5 days.\n</source>\n\n' +
        '<source id="2" title="Staff &quot;handbook&quot; &lt;draft&gt;">\nAsk the desk.\n</source>\n\n' +
        'Question: How long?',
    );
  });

  it('tells the model what to say when the sources do not answer', () => {
    expect(buildPrompt('?', [], 100, characters).messages[0]?.content).toContain(notInSources);
  });

  it('leaves text that is not our delimiter exactly as it is', () => {
    const text = 'if (a < b && c > d) { resource(); } <p>source</p> </ source-code is &lt; fine';
    expect(userMessage('q', [{ title: 't', text: 'if (a < b) <p>source</p> &lt;' }])).toContain(
      'if (a < b) <p>source</p> &lt;',
    );
    expect(userMessage('q', [{ title: 't', text }])).toContain('&lt;/ source-code');
  });

  const hostile = fc
    .array(
      fc.constantFrom(
        '<',
        '/',
        'source',
        'SOURCE',
        'sour',
        'ce',
        '>',
        ' ',
        '\n',
        '\u200b',
        '"',
        'Question:',
        'id="9"',
      ),
      { maxLength: 30 },
    )
    .map((parts) => parts.join(''));

  it('has exactly as many delimiters as passages, whatever the texts, titles and question hold', () => {
    fc.assert(
      fc.property(hostile, hostile, hostile, (question, title, text) => {
        const content = userMessage(question, [
          { title, text },
          { title: text, text: title },
        ]).replace(/\p{Cf}/gu, '');
        expect(content.match(/<\s*source/giu)).toHaveLength(2);
        expect(content.match(/<\s*\/\s*source/giu)).toHaveLength(2);
      }),
      { numRuns: 500 },
    );
  });

  it('shows as many passages from the top as the budget allows, and at least one', () => {
    const passages = Array.from({ length: 5 }, (_, i) => ({
      title: `t${i}`,
      heading: '',
      text: 'x'.repeat(1_000),
    }));
    const rules = buildPrompt('q', [], 0, characters).messages[0]?.content.length ?? 0;
    expect(buildPrompt('q', passages, rules + 3_500, characters).shown).toBe(3);
    expect(buildPrompt('q', passages, 1, characters).shown).toBe(1);
  });
});
