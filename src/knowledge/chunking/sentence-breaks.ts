/**
 * Where sentences begin inside one line of text.
 *
 * A rule rather than `Intl.Segmenter`: chunk offsets are stored, so the same text must break at the same places
 * on every build of Node (the segmenter's data changes with ICU), and the segmenter breaks after "Dr." and never
 * before a lower-case sentence, which much exported business text consists of.
 */

/** A full stop after one of these does not end a sentence. Lower case, without the stop. */
const abbreviations = new Set(
  (
    'mr mrs ms dr prof sr jr st vs etc e.g i.e eg ie cf al fig figs eq no nos vol pp ed eds inc ltd co corp dept ' +
    'approx est u.s u.k a.m p.m jan feb mar apr jun jul aug sep sept oct nov dec ca bzw z.b usw nr art sec ch'
  ).split(' '),
);

const LONGEST_ABBREVIATION = 6;
const asciiTerminators = '.!?';
const wideTerminators = '。！？｡';
const closers = '"\'”’»)]*_`』」）';

/**
 * Yields each offset in `text[start, end)` at which a new sentence begins, `start` excluded, ascending.
 * Offsets point behind the white space that follows the previous sentence.
 */
export function* sentenceStarts(text: string, start: number, end: number): Generator<number> {
  const terminator = /[.!?…。！？｡]/g;
  const line = text.slice(start, end);
  for (let match = terminator.exec(line); match !== null; match = terminator.exec(line)) {
    const index = start + match.index;
    const wide = wideTerminators.includes(match[0]);
    let after = index + 1;
    while (after < end && isClosing(text.charAt(after))) after += 1;
    let next = after;
    while (next < end && isSpace(text.charCodeAt(next))) next += 1;
    if (next >= end) return;
    if (wide || (next > after && endsSentence(text, start, index, next))) yield next;
    terminator.lastIndex = next - start;
  }
}

function isClosing(character: string): boolean {
  return (
    closers.includes(character) || asciiTerminators.includes(character) || wideTerminators.includes(character)
  );
}

function endsSentence(text: string, start: number, terminator: number, next: number): boolean {
  if (text.charAt(terminator) !== '.') return true;
  let wordStart = terminator;
  const earliest = Math.max(start, terminator - LONGEST_ABBREVIATION - 1);
  while (
    wordStart > earliest &&
    !isSpace(text.charCodeAt(wordStart - 1)) &&
    text.charAt(wordStart - 1) !== '('
  ) {
    wordStart -= 1;
  }
  const word = text.slice(wordStart, terminator).toLowerCase();
  if (abbreviations.has(word)) return false;
  const initial = word.length === 1 && word >= 'a' && word <= 'z';
  if (initial) return false;
  const enumerator = /^\d{1,3}$/.test(word) && wordStart === start;
  if (enumerator) return false;
  const lowerNext = /^\p{Ll}/u.test(text.slice(next, next + 2));
  return !lowerNext || word.length > 3;
}

/** White space as JavaScript's `trim` understands it, by UTF-16 code unit. */
export function isSpace(code: number): boolean {
  if (code === 32 || (code >= 9 && code <= 13)) return true;
  if (code < 160) return false;
  return (
    code === 160 ||
    code === 0x1680 ||
    (code >= 0x2000 && code <= 0x200a) ||
    code === 0x2028 ||
    code === 0x2029 ||
    code === 0x202f ||
    code === 0x205f ||
    code === 0x3000 ||
    code === 0xfeff
  );
}
