import { type JsonSchema, sampleOfSchema } from './json-samples.ts';
import { answerFromPassages, readSourcedQuestion, type SourcePassage, sentencesOf } from './passages.ts';
import { createSeededRandom, pick, type SeededRandom } from './seeded.ts';
import { firstTokens, tokenEnds } from './tokens.ts';

/**
 * What a simulated model says, in no provider's wire format. The wire formats read a request into a Conversation and
 * write the Answer back in their own shape.
 */

/** `hallucinate` adds a sentence that no source holds; `obey` does what an instruction inside a source says. */
export type Behaviour = 'honest' | 'hallucinate' | 'obey';

export interface Turn {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  readonly text: string;
}

export interface Tool {
  readonly name: string;
  readonly parameters: JsonSchema;
}

export interface Conversation {
  readonly turns: readonly Turn[];
  /** The tool to call instead of answering in words, if any. */
  readonly callTool?: Tool;
  /** Answer with JSON valid for this schema. */
  readonly jsonSchema?: JsonSchema;
  readonly behaviour: Behaviour;
  /** Ask for prose of at least this many words. */
  readonly leastWords?: number;
  readonly seed: number;
}

export type Answer =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'tool-call'; readonly name: string; readonly argumentsJson: string };

/** The claim a hallucinating model adds; made of words that no ordinary source holds. */
export const unsupportedSentence = 'The zeppelin committee confirmed this unanimously in 1897.';

const echoCharacters = 80;
const maxWords = 200_000;

/** The same conversation and seed always give the same answer. */
export function composeAnswer(conversation: Conversation): Answer {
  const random = createSeededRandom(conversation.seed);
  const lastUserText = conversation.turns.findLast((turn) => turn.role === 'user')?.text ?? '';
  if (conversation.callTool) {
    const { name, parameters } = conversation.callTool;
    const value = sampleOfSchema(parameters, random, namesIn(lastUserText));
    return { kind: 'tool-call', name, argumentsJson: JSON.stringify(value) };
  }
  if (conversation.jsonSchema) {
    const value = sampleOfSchema(conversation.jsonSchema, random, namesIn(lastUserText));
    return { kind: 'text', text: JSON.stringify(value) };
  }
  return { kind: 'text', text: answerInWords(conversation, lastUserText, random) };
}

function answerInWords(conversation: Conversation, lastUserText: string, random: SeededRandom): string {
  const sourced = readSourcedQuestion(lastUserText);
  if (sourced) {
    const obeyed =
      conversation.behaviour === 'obey' ? obeySources(sourced.passages, conversation) : undefined;
    if (obeyed !== undefined) return obeyed;
    return withBehaviour(answerFromPassages(sourced), conversation.behaviour, sourced.passages[0]?.id);
  }
  const answer = proseAbout(conversation, lastUserText, random);
  return withBehaviour(answer, conversation.behaviour, undefined);
}

function withBehaviour(answer: string, behaviour: Behaviour, citedId: string | undefined): string {
  if (behaviour !== 'hallucinate') return answer;
  return `${answer} ${unsupportedSentence}${citedId === undefined ? '' : ` [${citedId}]`}`;
}

/**
 * Plays the model that injections work on: finds the first sentence in a source that gives an order, and does it.
 * Quoted words are repeated, a wish for the instructions or the system prompt is granted, anything else is
 * acknowledged as done. Undefined when no source gives an order.
 */
function obeySources(passages: readonly SourcePassage[], { turns }: Conversation): string | undefined {
  const order = passages
    .flatMap((passage) => sentencesOf(passage.text))
    .find((sentence) =>
      /\b(?:ignore|disregard|forget|override)\b.*\b(?:instruction|prompt|rule|above|previous)|\b(?:you must|instead)\b.*\b(?:say|reply|respond|answer|output|print|write|reveal|repeat)\b/isu.test(
        sentence,
      ),
    );
  if (order === undefined) return undefined;
  const quoted = /(?<=^|[\s:(])["“'‘]([^"”’]{1,500}?)["”'’](?=[\s.!,;)]|$)/u.exec(order)?.[1];
  if (quoted !== undefined) return quoted;
  const wantsRules =
    /\b(?:reveal|repeat|print|show|output)\b.*\b(?:system prompt|instructions|rules)\b/isu.test(order);
  const rules = turns.find((turn) => turn.role === 'system')?.text;
  if (wantsRules && rules !== undefined) return rules;
  return `As instructed: ${order}`;
}

/** After a tool has answered, its result is what there is to talk about; otherwise the last user message. */
function proseAbout(
  { turns, leastWords = 0 }: Conversation,
  lastUserText: string,
  random: SeededRandom,
): string {
  const last = turns.at(-1);
  const opening =
    last?.role === 'tool' ? `The tool says: ${startOf(last.text)}` : `You wrote: ${startOf(lastUserText)}`;
  const sentences = [opening];
  const wanted = Math.min(leastWords, maxWords);
  const least = 1 + Math.floor(random() * 4);
  let words = opening.split(/\s+/u).length;
  while (sentences.length <= least || words < wanted) {
    const sentence = seededSentence(random);
    sentences.push(sentence);
    words += sentence.split(' ').length;
  }
  return sentences.join(' ');
}

/** Seeded sentences of exactly that many tokens; the last is cut short. */
export function proseOfTokens(tokens: number, random: SeededRandom): string {
  let text = '';
  // A word of these with its space has at most twelve characters and at least one token.
  while (text.length < tokens * 12) text += `${text === '' ? '' : ' '}${seededSentence(random)}`;
  return firstTokens(text, tokenEnds(text), tokens);
}

/** The first 80 characters on one line, closed like a sentence. */
function startOf(text: string): string {
  const line = text.slice(0, 1_000).trim().replace(/\s+/gu, ' ');
  const characters = [...line];
  if (characters.length > echoCharacters) return `${characters.slice(0, echoCharacters).join('')}…`;
  return /[.!?]$/u.test(line) ? line : `${line}.`;
}

/** The words of a question that could be someone's or something's name: capitalised inside a sentence, or long. */
function namesIn(text: string): string[] {
  const words = text.slice(0, 2_000).match(/[\p{L}][\p{L}-]{2,30}/gu) ?? [];
  const capitalised = words.slice(1).filter((word) => /^\p{Lu}/u.test(word));
  return capitalised.length > 0 ? capitalised : words.filter((word) => word.length > 5);
}

const adjectives = ['quiet', 'steady', 'second', 'northern', 'careful', 'bright', 'shared', 'patient'];
const nouns = [
  'harbour',
  'ledger',
  'engine',
  'garden',
  'council',
  'signal',
  'bridge',
  'archive',
  'winter',
  'letter',
];
const verbs = ['follows', 'measures', 'carries', 'answers', 'keeps', 'opens', 'explains', 'outlasts'];
const endings = ['in the morning', 'without a word', 'as agreed', 'for a while', 'at the gate', 'once more'];

function seededSentence(random: SeededRandom): string {
  const part = (words: readonly string[]): string => pick(random, words) ?? '';
  return `The ${part(adjectives)} ${part(nouns)} ${part(verbs)} the ${part(nouns)} ${part(endings)}.`;
}
