import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { docxFrame, docxParagraph, docxTable, makeDocx } from '../../../test/files/make-docx.ts';
import { makePdf, paragraph } from '../../../test/files/make-pdf.ts';
import { deflateBomb, makeZip } from '../../../test/files/make-zip.ts';
import { type ParsedDocument, parseBytes } from './parse-bytes.ts';
import { ParseFailure, type ParseFailureReason } from './parse-failure.ts';
import { defaultParseLimits, type ParseLimits } from './parse-limits.ts';

const MEBIBYTE = 1024 * 1024;
const docxType = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document';
const png = Buffer.from('\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0', 'latin1');

function parse(
  content: Buffer | string,
  fileName: string,
  more: { contentType?: string; limits?: Partial<ParseLimits> } = {},
) {
  const { limits, ...declared } = more;
  return parseBytes(Buffer.from(content), { fileName, ...declared }, { ...defaultParseLimits, ...limits });
}

async function failure(
  parsing: Promise<ParsedDocument>,
): Promise<{ reason: ParseFailureReason; message: string }> {
  const outcome = await parsing.catch((error: unknown) => error);
  if (outcome instanceof ParseFailure) return { reason: outcome.reason, message: outcome.message };
  throw new Error('expected a ParseFailure', { cause: outcome });
}

const reason = async (parsing: Promise<ParsedDocument>) => (await failure(parsing)).reason;

describe('parseBytes reads', () => {
  it('a PDF', async () => {
    const pdf = makePdf(
      [
        paragraph(['Returns are free of charge within thirty', 'days of delivery.']),
        paragraph(['The second page.']),
      ],
      { title: 'Terms' },
    );
    expect(await parse(pdf, 'terms.pdf')).toEqual({
      text: 'Returns are free of charge within thirty days of delivery.\n\nThe second page.',
      title: 'Terms',
      contentType: 'application/pdf',
      pages: 2,
      warnings: [],
    });
  });

  it('a PDF that is encrypted but opens without a password', async () => {
    const pdf = makePdf([paragraph(['Open to all.'])], {
      encrypt: { userPassword: '', ownerPassword: 'secret' },
    });
    expect((await parse(pdf, 'a.pdf')).text).toBe('Open to all.');
  });

  it('a DOCX with its headings, lists of runs and tables', async () => {
    const body =
      docxParagraph('Terms of sale', 'Heading1') +
      docxParagraph('Returns &amp; refunds', 'Heading2') +
      docxParagraph('Thirty days.') +
      docxTable([
        ['Plan', 'Price'],
        ['Team', '49'],
      ]);
    expect(await parse(makeDocx(body), 'terms.docx')).toEqual({
      text: '# Terms of sale\n\n## Returns & refunds\n\nThirty days.\n\n| Plan | Price |\n| --- | --- |\n| Team | 49 |',
      title: 'Terms of sale',
      contentType: docxType,
      warnings: [],
    });
    expect((await parse(makeDocx(body, { title: 'Terms &lt;2025&gt;' }), 'x.docx')).title).toBe(
      'Terms <2025>',
    );
  });

  it('HTML, without what is not its text', async () => {
    const html =
      '<!doctype html><title>Shop</title><script>steal()</script><h1>Hours</h1><p>Nine to five.</p>';
    expect(await parse(html, 'page.html')).toMatchObject({
      text: '# Hours\n\nNine to five.',
      title: 'Shop',
      contentType: 'text/html',
    });
    expect((await parse(html, 'page')).contentType).toBe('text/html');
  });

  it('Markdown, text, CSV and JSON lines as they are', async () => {
    const markdown = '---\ntitle: "The guide"\n---\n\n# Guide\r\n\r\n* one\n* two\n';
    expect(await parse(markdown, 'docs/guide.md')).toEqual({
      text: markdown.replaceAll('\r\n', '\n'),
      title: 'The guide',
      contentType: 'text/markdown',
      warnings: [],
    });
    expect((await parse('# A heading #\n\ntext', 'x.md')).title).toBe('A heading');
    expect(await parse('a,b\n1,2\n', 'numbers.csv')).toMatchObject({
      text: 'a,b\n1,2\n',
      title: 'numbers',
      contentType: 'text/csv',
    });
    expect((await parse('{"a":1}\n{"a":2}\n', 'rows.jsonl')).contentType).toBe('application/jsonl');
    expect(await parse('just words', 'a/b/read me.txt')).toMatchObject({
      title: 'read me',
      contentType: 'text/plain',
    });
    expect(
      (await parse('just words', 'notes', { contentType: 'text/markdown; charset=utf-8' })).contentType,
    ).toBe('text/markdown');
    expect((await parse('const a = 1;', 'main.ts')).contentType).toBe('text/plain');
  });

  it('marked UTF-16, and text with a stray NUL', async () => {
    expect((await parse(Buffer.from('\ufeffGrüße', 'utf16le'), 'a.txt')).text).toBe('Grüße');
    expect((await parse(`${'some words '.repeat(20)}\0end`, 'a.txt')).text).not.toContain('\0');
  });

  it('a document that is named like text, and says so', async () => {
    const { contentType, warnings } = await parse(makePdf([paragraph(['x'])]), 'report.txt');
    expect(contentType).toBe('application/pdf');
    expect(warnings).toEqual([
      'The name or declared type says text, but the file is a PDF and was read as one.',
    ]);
  });

  it('a Markdown table with enormous lines', async () => {
    const table = `| a | b |\n| --- | --- |\n| ${'cell '.repeat(400_000)} | x |\n`;
    expect((await parse(table, 'table.md')).text).toBe(table);
  });
});

describe('parseBytes refuses', () => {
  it('nothing and white space', async () => {
    expect(await reason(parse('', 'a.txt'))).toBe('empty');
    expect(await reason(parse(' \n\t\r\n\u00a0', 'a.txt'))).toBe('empty');
    expect(await reason(parse('<html><body> <script>x</script></body></html>', 'a.html'))).toBe('empty');
    expect(await reason(parse(makeDocx(docxParagraph(' ')), 'a.docx'))).toBe('empty');
  });

  it('documents with a password', async () => {
    const pdf = makePdf([paragraph(['Secret.'])], {
      encrypt: { userPassword: 'open', ownerPassword: 'own' },
    });
    expect(await reason(parse(pdf, 'a.pdf'))).toBe('encrypted');
    const ole = Buffer.concat([
      Buffer.from('d0cf11e0a1b11ae1', 'hex'),
      Buffer.alloc(600),
      Buffer.from('EncryptedPackage', 'utf16le'),
    ]);
    expect(await reason(parse(ole, 'a.docx'))).toBe('encrypted');
  });

  it('a PDF cut short anywhere', async () => {
    const pdf = makePdf([paragraph(['A page of text.']), paragraph(['Another.'])]);
    for (const share of [0.02, 0.3, 0.6, 0.9]) {
      expect(await reason(parse(pdf.subarray(0, Math.floor(pdf.length * share)), 'a.pdf'))).toBe(
        'truncated_or_corrupt',
      );
    }
    expect(await reason(parse('%PDF-1.7\nnothing of a PDF follows\n%%EOF', 'a.pdf'))).toBe(
      'truncated_or_corrupt',
    );
  });

  it('a PDF without text, and one with too many pages', async () => {
    expect(await failure(parse(makePdf([[], []]), 'scan.pdf'))).toEqual({
      reason: 'no_text',
      message: expect.stringContaining('OCR') as string,
    });
    expect(await reason(parse(makePdf([[], [], []]), 'a.pdf', { limits: { pdfPages: 2 } }))).toBe(
      'too_many_pages',
    );
  });

  it('a DOCX that unpacks to too much, whether its headers admit it or not', async () => {
    const bomb = (claimedBytes: number) =>
      makeZip([
        ...docxFrame(),
        { name: 'word/document.xml', content: deflateBomb(400, ' '), deflated: true, claimedBytes },
      ]);
    expect(await reason(parse(bomb(400 * MEBIBYTE), 'a.docx'))).toBe('decompression_limit');
    expect(await reason(parse(bomb(1000), 'a.docx'))).toBe('decompression_limit');
  });

  it('never unpacks an archive inside the archive', async () => {
    const inner = makeZip([
      { name: 'bomb', content: deflateBomb(400, ' '), deflated: true, claimedBytes: 10 },
    ]);
    const docx = makeDocx(docxParagraph('Harmless.'), {
      more: [{ name: 'word/embeddings/inner.zip', content: inner }],
    });
    expect((await parse(docx, 'a.docx')).text).toBe('Harmless.');
    const nested = makeZip([{ name: 'a.zip', content: makeZip([{ name: 'b.zip', content: inner }]) }]);
    expect(await reason(parse(nested, 'a.docx'))).toBe('wrong_type');
  });

  it('a damaged DOCX, and one that is nested beyond reading', async () => {
    const docx = makeDocx(docxParagraph('Text.'));
    expect(await reason(parse(docx.subarray(0, docx.length - 40), 'a.docx'))).toBe('truncated_or_corrupt');
    const broken = makeZip([...docxFrame(), { name: 'word/document.xml', content: 'not xml at all' }]);
    expect(await reason(parse(broken, 'a.docx'))).toBe('truncated_or_corrupt');
    const deep = makeDocx('<w:sdt><w:sdtContent>'.repeat(12_000) + '</w:sdtContent></w:sdt>'.repeat(12_000));
    expect(await reason(parse(deep, 'a.docx'))).toBe('too_complex');
  });

  it('content that is not what the name says', async () => {
    expect(await failure(parse(png, 'scan.pdf'))).toEqual({
      reason: 'wrong_type',
      message: expect.stringContaining('a PNG image') as string,
    });
    expect(await reason(parse(makeZip([{ name: 'a.txt', content: 'x' }]), 'a.docx'))).toBe('wrong_type');
    expect(await reason(parse('plain words', 'a.pdf'))).toBe('wrong_type');
    expect(await reason(parse('plain words', 'upload', { contentType: docxType }))).toBe('wrong_type');
    expect(await reason(parse(makeDocx(docxParagraph('x')), 'a.pdf'))).toBe('wrong_type');
    expect(await reason(parse(makePdf([paragraph(['x'])]), 'a.docx'))).toBe('wrong_type');
  });

  it('formats that are not read', async () => {
    expect(await reason(parse(png, 'photo.png'))).toBe('unsupported_type');
    expect(await reason(parse(makeZip([{ name: 'xl/workbook.xml', content: 'x' }]), 'a.xlsx'))).toBe(
      'unsupported_type',
    );
    expect(await reason(parse('{\\rtf1 hello}', 'a.rtf'))).toBe('unsupported_type');
    expect(await reason(parse(makeZip([{ name: 'a', content: 'x' }]), 'a.zip'))).toBe('unsupported_type');
  });

  it('binary junk and broken encodings', async () => {
    const junk = Buffer.from(
      Array.from({ length: 5000 }, (_, index) => (index * index * 31 + index * 7) % 256),
    );
    expect(await reason(parse(junk, 'a.txt'))).toBe('binary_content');
    expect(await failure(parse(Buffer.from('na\xefve', 'latin1'), 'a.txt'))).toEqual({
      reason: 'invalid_encoding',
      message: expect.stringContaining('0xEF at position 2') as string,
    });
  });

  it('more text than the limit', async () => {
    const limits = { textLength: 1000 };
    expect(await reason(parse('a'.repeat(1001), 'a.txt', { limits }))).toBe('too_large');
    expect(await reason(parse('a'.repeat(3001), 'a.txt', { limits }))).toBe('too_large');
    expect((await parse('漢'.repeat(1000), 'a.txt', { limits })).text).toHaveLength(1000);
    const docx = makeDocx(docxParagraph('word '.repeat(300)));
    expect(await reason(parse(docx, 'a.docx', { limits }))).toBe('too_large');
    expect(
      await reason(
        parse(makePdf([paragraph(Array.from({ length: 50 }, () => 'a line of text on a page'))]), 'a.pdf', {
          limits,
        }),
      ),
    ).toBe('too_large');
  });

  it('does not read files that a DOCX names', async () => {
    const prolog = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY secret SYSTEM "file:///etc/passwd">]>';
    const outcome = await parse(makeDocx(docxParagraph('before &secret; after'), { prolog }), 'a.docx').catch(
      (error: unknown) => error,
    );
    if (outcome instanceof ParseFailure) expect(outcome.reason).toBe('truncated_or_corrupt');
    else expect((outcome as ParsedDocument).text).not.toContain('root:');
  });

  it('does not let entities that multiply themselves multiply anything', async () => {
    const entities = Array.from(
      { length: 12 },
      (_, index) => `<!ENTITY e${index + 1} "${`&e${index};`.repeat(10)}">`,
    ).join('');
    const prolog = `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "ha">${entities}]>`;
    const outcome = await parse(makeDocx(docxParagraph('&e12;'), { prolog }), 'a.docx').catch(
      (error: unknown) => error,
    );
    if (outcome instanceof ParseFailure) expect(outcome.reason).toBe('truncated_or_corrupt');
    else expect((outcome as ParsedDocument).text.length).toBeLessThan(100);
  });
});

describe('parseBytes on any bytes', () => {
  it('gives clean text or a reason, whatever the name', async () => {
    const seeds = [
      makePdf([paragraph(['Some text.'])]),
      makeDocx(docxParagraph('Some text.')),
      Buffer.from('<p>Some <b>text</b></p>'),
    ];
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)),
      fc
        .tuple(fc.constantFrom(...seeds), fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 20 }))
        .map(([seed, at, patch]) => {
          const damaged = Buffer.from(seed);
          damaged.set(patch.subarray(0, seed.length - (at % seed.length)), at % seed.length);
          return damaged;
        }),
    );
    await fc.assert(
      fc.asyncProperty(
        bytes,
        fc.constantFrom('a.pdf', 'a.docx', 'a.html', 'a.txt', 'a'),
        async (content, name) => {
          const outcome = await parse(content, name).catch((error: unknown) => error);
          if (outcome instanceof Error) expect(outcome).toBeInstanceOf(ParseFailure);
          else expect((outcome as ParsedDocument).text).not.toContain('\0');
        },
      ),
      { numRuns: 150 },
    );
  });
});
