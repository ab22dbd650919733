import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readClaim } from './claim.ts';
import { readSource, supportOf } from './claim-support.ts';
import { createStemmer } from './passages/terms.ts';

const stem = createStemmer();
const source = (text: string, title = '', heading = '') => readSource({ title, heading, text }, stem);
/** The texts that bear the claim out. */
const support = (claim: string, texts: string[], cited: number[] = texts.map((_, i) => i), strict = false) =>
  supportOf(
    readClaim(claim, stem),
    texts.map((text) => source(text)),
    cited,
    strict,
  ).map(({ source: place, start, end }) => texts[place]?.slice(start, end));

const terms =
  'Orders can be changed for an hour. Refunds are paid within five working days of the return. Shipping costs are not refunded. The desk in Lyon answers on weekdays.';

describe('support of a claim', () => {
  it('is the sentence that says it, in other forms of the same words', () => {
    expect(support('A refund is paid within 5 working days after the goods are returned.', [terms])).toEqual([
      'Refunds are paid within five working days of the return.',
    ]);
  });

  it('is refused when a number, a magnitude, a name or a "not" differs', () => {
    expect(support('Refunds are paid within 7 working days of the return.', [terms])).toEqual([]);
    expect(support('Refunds are paid within seven working days of the return.', [terms])).toEqual([]);
    expect(support('Shipping costs are refunded.', [terms])).toEqual([]);
    expect(support('Orders can not be changed for an hour.', [terms])).toEqual([]);
    expect(support('On weekdays the desk in Paris answers.', [terms])).toEqual([]);
    expect(support('It earned $3 billion in 2023.', ['It earned $3 million in 2023.'])).toEqual([]);
    expect(support('Sales fell by 4 %.', ['Sales fell by 4 units.'])).toEqual([]);
  });

  it('knows one number in its several spellings', () => {
    for (const written of ['1,000', '1000', '1 000', "1'000"]) {
      expect(support(`The limit is ${written} calls.`, ['The limit is 1000 calls.'])).toHaveLength(1);
    }
    expect(support('100 people came in 2023.', ['In 2023 100 people came.'])).toHaveLength(1);
    expect(support('The rate is 3.50 percent.', ['The rate is 3.5%.'])).toHaveLength(1);
    expect(support('The rate is 3.5 percent.', ['The rate is 35 percent.'])).toEqual([]);
  });

  it('lets both sides deny the same thing in their own words', () => {
    expect(support('Shipping costs are never refunded.', [terms])).toHaveLength(1);
    expect(
      support("The gateway doesn't support SOAP.", ['SOAP is not supported by the gateway.']),
    ).toHaveLength(1);
    expect(support('Refunds take 5 days.', ['Refunds take 5 days, not counting holidays.'])).toHaveLength(1);
    expect(support('Reply within 5 days.', ['Reply no later than within 5 days.'])).toHaveLength(1);
  });

  it('can rest on two sources together', () => {
    const texts = ['The red pump weighs 40 kg.', 'The blue pump weighs 55 kg.'];
    expect(support('The red pump weighs 40 kg and the blue pump 55 kg.', texts)).toEqual(texts);
  });

  it('keeps each cited source that bears the claim out by itself', () => {
    expect(
      support('Pumps need oil.', ['Pumps need oil.', 'All pumps need oil weekly.', 'Cats purr.']),
    ).toEqual(['Pumps need oil.', 'All pumps need oil weekly.']);
  });

  it('finds the right source when the model named a wrong one, but only when it is sure', () => {
    const texts = ['Cats purr.', terms];
    expect(support('Refunds are paid within five working days of the return.', texts, [0])).toEqual([
      'Refunds are paid within five working days of the return.',
    ]);
    expect(support('Refunds are always paid promptly within five working days.', texts, [0])).toEqual([]);
  });

  it('takes a name from the title, but no claim from the title alone', () => {
    const about = [source('It needs Node 20 to run.', 'Gatehouse handbook')];
    expect(supportOf(readClaim('To run, Gatehouse needs Node 20.', stem), about, [0], false)).toHaveLength(1);
    expect(supportOf(readClaim('Gatehouse handbook.', stem), about, [0], false)).toEqual([]);
  });

  it('is nothing for a sentence without content', () => {
    expect(support('So it is.', [terms])).toEqual([]);
    expect(support('', [terms])).toEqual([]);
  });

  it('bears out every sentence of the source itself, in any script, by spans inside the text', () => {
    const word = fc.constantFrom(
      'Zürich',
      'pump',
      '配送',
      '😀',
      'naïve',
      '12',
      'weighs',
      'Ωμέγα',
      'ﬁne',
      '𝒳',
    );
    const sentence = fc.array(word, { minLength: 3, maxLength: 12 }).map((words) => `${words.join(' ')}.`);
    fc.assert(
      fc.property(fc.array(sentence, { minLength: 1, maxLength: 6 }), fc.nat(), (sentences, pick) => {
        const text = sentences.join(' ');
        const chosen = sentences[pick % sentences.length] ?? '';
        fc.pre(readClaim(chosen, stem).stems.size > 0);
        const spans = supportOf(readClaim(chosen, stem), [source(text)], [0], true);
        expect(spans).not.toEqual([]);
        for (const { start, end } of spans) {
          expect(start).toBeGreaterThanOrEqual(0);
          expect(end).toBeLessThanOrEqual(text.length);
          expect(text.slice(start, end)).toBe(text.slice(start, end).trim());
          expect(text.slice(start, end).isWellFormed()).toBe(true);
        }
      }),
    );
  });
});
