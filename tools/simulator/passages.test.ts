import { expect, test } from 'vitest';
import { answerFromPassages, notInSources, readSourcedQuestion, sentencesOf } from './passages.ts';

const message = `<source id="1" title="Travel policy">Flights are booked by the office.
Taxis are refunded up to 40 euros a day. Keep the receipt!</source>
<source id="2" title="Parental leave">Employees in Germany get 14 weeks of parental leave.

Leave starts on the day of birth.</source>

Question: How many weeks of parental leave do employees get?`;

const ask = (question: string): string => {
  const sourced = readSourcedQuestion(message.replace(/Question:.*/u, `Question: ${question}`));
  return sourced ? answerFromPassages(sourced) : 'no sources were seen';
};

test('passages keep their id, title and exact text', () => {
  const sourced = readSourcedQuestion(message);
  expect(sourced?.question).toBe('How many weeks of parental leave do employees get?');
  expect(sourced?.passages).toEqual([
    {
      id: '1',
      title: 'Travel policy',
      text: 'Flights are booked by the office.\nTaxis are refunded up to 40 euros a day. Keep the receipt!',
    },
    {
      id: '2',
      title: 'Parental leave',
      text: 'Employees in Germany get 14 weeks of parental leave.\n\nLeave starts on the day of birth.',
    },
  ]);
});

test('the answer is the sentence that holds the question, word for word, with its citation', () => {
  expect(ask('How many weeks of parental leave do employees get?')).toBe(
    'Employees in Germany get 14 weeks of parental leave. [2]',
  );
  expect(ask('Are taxis refunded?')).toBe('Taxis are refunded up to 40 euros a day. [1]');
});

test('what the sources do not hold is said not to be in them', () => {
  expect(ask('Who maintains the espresso machine?')).toBe(notInSources);
  expect(notInSources).toBe('The sources do not answer this question.');
});

test('one shared word among many does not make an answer', () => {
  expect(ask('Which vendor office leases the Lisbon warehouse forklift batteries?')).toBe(notInSources);
});

test('the question is all that follows its mark, even when it says so again', () => {
  const sourced = readSourcedQuestion(
    '<source id="1">\nText.\n</source>\n\nQuestion: What\nQuestion: is it?',
  );
  expect(sourced).toEqual({
    passages: [{ id: '1', title: '', text: '\nText.\n' }],
    question: 'What\nQuestion: is it?',
  });
});

test('a message without passages is not a sourced question', () => {
  expect(readSourcedQuestion('Question: what is a <source>?')).toBeUndefined();
});

test('every sentence stands in the text as it is', () => {
  const text =
    '# Heading\n\nVersion 2.5 is out. It says "Stop." Then\nit goes on.\n- one item\n- another (with 3.2)\n';
  const sentences = sentencesOf(text);
  expect(sentences).toEqual([
    'Version 2.5 is out.',
    'It says "Stop."',
    'Then\nit goes on.',
    '- one item',
    '- another (with 3.2)',
  ]);
  for (const sentence of sentences) expect(text).toContain(sentence);
});
