/** One message of plain text to one person. */
export interface TextMail {
  /** Unique, and the same when it is sent again; letters, digits and hyphens. */
  readonly id: string;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}

const crlf = '\r\n';
/** RFC 2045, 6.8: an encoded line has 76 characters at most. */
const encodedLine = /.{1,76}/g;
/** RFC 2047, 2: an encoded word has 75 characters at most; 39 bytes and their frame stay below. */
const wordBytes = 39;

/**
 * A message as it goes over the wire (RFC 5322, 2045). The text is encoded in base64, so that no line of it is too long or
 * could be taken for the end.
 * @param from `Name <address>` or an address alone. @throws TypeError for an address that could end a line or a command.
 */
export function wireForm(mail: TextMail, from: string, now: Date): string {
  const domain = addressIn(from).split('@')[1] ?? 'localhost';
  const headers = [
    `From: ${encodedFrom(from)}`,
    `To: ${addressIn(mail.to)}`,
    `Subject: ${encodedText(mail.subject)}`,
    `Date: ${now.toUTCString().replace('GMT', '+0000')}`,
    `Message-ID: <${mail.id}@${domain}>`,
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: base64',
    // RFC 3834: nobody's automatic answer is wanted.
    'Auto-Submitted: auto-generated',
  ];
  const body = Buffer.from(mail.text, 'utf8').toString('base64').match(encodedLine) ?? [];
  return [...headers, '', ...body, ''].join(crlf);
}

/** The address in `Name <address>`, or itself. @throws TypeError for what is none, or holds what could end a command. */
export function addressIn(text: string): string {
  const address = /^[^<>]*<([^<>]*)>\s*$/.exec(text)?.[1] ?? text.trim();
  if (address.length <= 320 && /^[\x21-\x7e]+@[A-Za-z0-9.-]+$/.test(address) && !/[<>]/.test(address)) {
    return address;
  }
  throw new TypeError('not an address that mail can be sent to');
}

function encodedFrom(from: string): string {
  const name = from
    .replace(/<[^<>]*>\s*$/, '')
    .trim()
    .replace(/^"(.*)"$/, '$1');
  const address = addressIn(from);
  return name === '' || name === address ? address : `${encodedText(name)} <${address}>`;
}

/** As it stands where it is plain, otherwise in encoded words (RFC 2047), which also end nothing. */
function encodedText(text: string): string {
  if (/^[A-Za-z0-9 .,'()-]*$/.test(text) && text.length < 200) return text;
  const words: string[] = [];
  let word = '';
  for (const character of text) {
    if (Buffer.byteLength(word + character) > wordBytes) {
      words.push(word);
      word = '';
    }
    word += character;
  }
  words.push(word);
  return words.map((part) => `=?utf-8?B?${Buffer.from(part).toString('base64')}?=`).join(`${crlf} `);
}
