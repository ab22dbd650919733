/** Every reason for which a file can be refused. Stored with the document and shown to its owner. */
export const parseFailureReasons = [
  /** Nothing in it but white space. */
  'empty',
  /** Needs a password. */
  'encrypted',
  /** Ends early, or its structure cannot be read. */
  'truncated_or_corrupt',
  /** A kind of file that is not read at all. */
  'unsupported_type',
  /** The name promises one kind and the content is another. */
  'wrong_type',
  /** Named like text, but the content is not text. */
  'binary_content',
  /** Text in an encoding other than UTF-8 or marked UTF-16. */
  'invalid_encoding',
  /** More bytes in the file, or more characters in its text, than the limit. */
  'too_large',
  'too_many_pages',
  /** Unpacks to more than the limit. */
  'decompression_limit',
  /** Nested more deeply than the limit. */
  'too_complex',
  'timeout',
  'out_of_memory',
  /** Pages without any text, as from a scanner. */
  'no_text',
  /** The file went away or changed while it was read. */
  'unreadable',
  /** The reading process ended without a word: a defect of ours rather than of the file. */
  'reader_crashed',
] as const;

export type ParseFailureReason = (typeof parseFailureReasons)[number];

/** A file that could not be read. `message` tells its owner what is wrong and what to do about it. */
export class ParseFailure extends Error {
  readonly reason: ParseFailureReason;

  constructor(reason: ParseFailureReason, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'ParseFailure';
    this.reason = reason;
  }
}
