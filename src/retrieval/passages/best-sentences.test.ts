import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { quotePassages } from './best-sentences.ts';

const TEXT =
  'Gatehouse starts on one command. Backups run every six hours. They are kept for thirty days. ' +
  'Each backup is verified by restoring it. The weather does not matter.';
const cut = (text: string, { start, end }: { start: number; end: number }) => text.slice(start, end);

/** What is quoted of one text. */
const quoted = (question: string, text: string) =>
  quotePassages(question, [{ text, score: 1 }]).map((quotation) => cut(text, quotation));

describe('a quotation', () => {
  it('is the sentence that speaks of the question, at its exact offsets', () => {
    expect(quoted('How often do backups run?', TEXT)).toEqual(['Backups run every six hours.']);
  });

  it('joins neighbours that each bring something', () => {
    expect(quoted('How often do backups run and for how many days are they kept?', TEXT)).toEqual([
      'Backups run every six hours. They are kept for thirty days.',
    ]);
  });

  it('finds nothing where no content word is shared', () => {
    expect(quoted('Who wrote the opera?', TEXT)).toEqual([]);
    expect(quoted('', TEXT)).toEqual([]);
    expect(quoted('What is it?', '')).toEqual([]);
  });

  it('is whole sentences, a few of them', () => {
    const word = fc.constantFrom('backups', 'restore', 'days', 'the', 'hours', 'kept');
    const sentence = fc.array(word, { minLength: 4, maxLength: 8 }).map((words) => `So ${words.join(' ')}. `);
    fc.assert(
      fc.property(fc.array(sentence, { maxLength: 10 }), (sentences) => {
        for (const quotation of quoted('How many hours are backups kept?', sentences.join(''))) {
          expect(quotation).toMatch(/^So .*\.$/);
          expect(quotation.match(/\./g)?.length).toBeLessThanOrEqual(4);
        }
      }),
    );
  });
});

describe('a text that holds the question itself', () => {
  const question = 'How are tenants kept apart?';

  it('is not answered by an example that puts it', () => {
    const text =
      'Try it: curl -d \'{"query":"How are tenants kept apart?"}\' http://localhost. Tenants live behind walls in the database.';
    expect(quoted(question, text)).toEqual(['Tenants live behind walls in the database.']);
  });

  it('is answered by what follows where a list of questions and answers puts it', () => {
    const text = 'Where is the log? On standard error. How are tenants kept apart? By walls in the database.';
    expect(quoted(question, text)[0]).toContain('By walls in the database.');
  });

  it('is found like any other when the question is a few words to look for', () => {
    const text = 'Nothing here. The tenants apart from the owner may read this.';
    expect(quoted('tenants apart', text)).not.toEqual([]);
  });
});

describe('quotePassages', () => {
  const score = 1;

  it('quotes the best sentence of the best passages and leaves out those far behind', () => {
    const passages = [
      { text: TEXT, score },
      { text: 'Lunch is at noon. Backups are mentioned here too.', score: 0.4 },
    ];
    const quotes = quotePassages('How often do backups run?', passages);
    expect(quotes.map(({ passage }) => passage)).toEqual([0]);
    expect(quotes.map((quote) => cut(TEXT, quote))).toEqual(['Backups run every six hours.']);
  });

  it('goes on after a label that says nothing by itself', () => {
    const text =
      '**4. Connect a model.** Any server that speaks the OpenAI interface is a provider. Its key is sealed.';
    const [quotation] = quotePassages('How do I connect a model?', [{ text, score: 1 }]);
    expect(text.slice(quotation?.start, quotation?.end)).toContain('is a provider.');
  });

  it('does not say the same twice', () => {
    const quotes = quotePassages('How often do backups run?', [
      { text: TEXT, score },
      { text: `Another copy. ${TEXT}`, score },
    ]);
    expect(quotes).toHaveLength(1);
  });

  it('does not break off before the rows it announces', () => {
    const text =
      'The tiers have these bursts of queries:\n\n| tier | burst |\n| free | 2 |\n| starter | 20 |\n\nMore text follows.';
    const [quote] = quotePassages('What bursts of queries do the tiers have?', [{ text, score }]);
    expect(quote && cut(text, quote)).toBe(text.slice(0, text.indexOf('\n\nMore')));
  });

  it('quotes nothing without passages', () => {
    expect(quotePassages('How often do backups run?', [])).toEqual([]);
  });
});
