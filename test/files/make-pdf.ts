import { createHash } from 'node:crypto';

/** One line of text on a page: points from the bottom left, letters of `size` points in Helvetica. */
export type PdfTextLine = { text: string; x?: number; y: number; size?: number };

export type PdfOptions = {
  title?: string;
  /** Encrypts with 40-bit RC4 (PDF 1.7, 7.6). An empty user password makes a file that opens without asking. */
  encrypt?: { userPassword: string; ownerPassword: string };
  /** Content streams instead of `pages`, as they are, with the entries of their dictionaries. */
  rawStreams?: { dictionary: string; content: Buffer }[];
};

const PADDING = Buffer.from('28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a', 'hex');
const FILE_ID = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
const PERMISSIONS = -4;
const FONT = 3;
const FIRST_PAGE = 4;

/** A small valid PDF, for tests. `pages` hold lines of WinAnsi text; a page without lines shows nothing. */
export function makePdf(pages: readonly PdfTextLine[][], options: PdfOptions = {}): Buffer {
  const streams =
    options.rawStreams ?? pages.map((lines) => ({ dictionary: '', content: pageContent(lines) }));
  const key = options.encrypt === undefined ? undefined : encryption(options.encrypt);
  const kids = streams.map((_, index) => `${FIRST_PAGE + index * 2} 0 R`).join(' ');
  const objects: Buffer[] = [
    Buffer.from('<< /Type /Catalog /Pages 2 0 R >>'),
    Buffer.from(`<< /Type /Pages /Kids [${kids}] /Count ${streams.length} >>`),
    Buffer.from('<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>'),
  ];
  for (const [index, { dictionary, content }] of streams.entries()) {
    const number = FIRST_PAGE + index * 2 + 1;
    objects.push(
      Buffer.from(
        `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents ${number} 0 R ` +
          `/Resources << /Font << /F1 ${FONT} 0 R >> >> >>`,
      ),
    );
    const bytes = key === undefined ? content : rc4(objectKey(key.fileKey, number), content);
    objects.push(
      Buffer.concat([
        Buffer.from(`<< /Length ${bytes.length} ${dictionary} >>\nstream\n`),
        bytes,
        Buffer.from('\nendstream'),
      ]),
    );
  }
  const trailer: string[] = [
    `/Root 1 0 R`,
    `/ID [<${FILE_ID.toString('hex')}> <${FILE_ID.toString('hex')}>]`,
  ];
  if (options.title !== undefined) {
    objects.push(Buffer.from(`<< /Title (${escaped(options.title)}) >>`, 'latin1'));
    trailer.push(`/Info ${objects.length} 0 R`);
  }
  if (key !== undefined) {
    objects.push(
      Buffer.from(
        `<< /Filter /Standard /V 1 /R 2 /P ${PERMISSIONS} /O <${key.owner.toString('hex')}> /U <${key.user.toString('hex')}> >>`,
      ),
    );
    trailer.push(`/Encrypt ${objects.length} 0 R`);
  }
  return assemble(objects, trailer);
}

/** Lines of text from the top of a page down, in one size. */
export function paragraph(lines: readonly string[], top = 720, size = 11): PdfTextLine[] {
  return lines.map((text, index) => ({ text, y: top - index * size * 1.2, size }));
}

function assemble(objects: readonly Buffer[], trailer: readonly string[]): Buffer {
  const parts: Buffer[] = [Buffer.from('%PDF-1.4\n%\xe2\xe3\xcf\xd3\n', 'latin1')];
  const offsets: number[] = [];
  let at = parts[0]?.length ?? 0;
  for (const [index, object] of objects.entries()) {
    const whole = Buffer.concat([Buffer.from(`${index + 1} 0 obj\n`), object, Buffer.from('\nendobj\n')]);
    offsets.push(at);
    parts.push(whole);
    at += whole.length;
  }
  const table = offsets.map((offset) => `${String(offset).padStart(10, '0')} 00000 n \n`).join('');
  parts.push(
    Buffer.from(
      `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${table}` +
        `trailer\n<< /Size ${objects.length + 1} ${trailer.join(' ')} >>\nstartxref\n${at}\n%%EOF\n`,
    ),
  );
  return Buffer.concat(parts);
}

function pageContent(lines: readonly PdfTextLine[]): Buffer {
  const shown = lines.map(
    ({ text, x = 72, y, size = 11 }) =>
      `BT /F1 ${size} Tf 1 0 0 1 ${x} ${y.toFixed(2)} Tm (${escaped(text)}) Tj ET`,
  );
  return Buffer.from(shown.join('\n'), 'latin1');
}

function escaped(text: string): string {
  return text.replace(/[\\()]/g, '\\$&');
}

function encryption({ userPassword, ownerPassword }: { userPassword: string; ownerPassword: string }) {
  const user = padded(userPassword);
  const owner = rc4(md5(padded(ownerPassword)).subarray(0, 5), user);
  const permissions = Buffer.alloc(4);
  permissions.writeInt32LE(PERMISSIONS);
  const fileKey = md5(Buffer.concat([user, owner, permissions, FILE_ID])).subarray(0, 5);
  return { owner, user: rc4(fileKey, PADDING), fileKey };
}

function objectKey(fileKey: Buffer, number: number): Buffer {
  const salt = Buffer.from([number & 255, (number >> 8) & 255, (number >> 16) & 255, 0, 0]);
  return md5(Buffer.concat([fileKey, salt])).subarray(0, 10);
}

function padded(password: string): Buffer {
  return Buffer.concat([Buffer.from(password, 'latin1'), PADDING]).subarray(0, 32);
}

function md5(data: Buffer): Buffer {
  return createHash('md5').update(data).digest();
}

function rc4(key: Buffer, data: Buffer): Buffer {
  const state = Array.from({ length: 256 }, (_, index) => index);
  const at = (index: number) => state[index & 255] ?? 0;
  const swap = (one: number, other: number) => {
    const kept = at(one);
    state[one & 255] = at(other);
    state[other & 255] = kept;
  };
  for (let index = 0, other = 0; index < 256; index += 1) {
    other = (other + at(index) + (key[index % key.length] ?? 0)) & 255;
    swap(index, other);
  }
  let one = 0;
  let other = 0;
  return Buffer.from(
    data.map((byte) => {
      one = (one + 1) & 255;
      other = (other + at(one)) & 255;
      swap(one, other);
      return byte ^ at(at(one) + at(other));
    }),
  );
}
