/**
 * Tokens that a text of unknown tokenizer most likely has. English prose comes to about four ASCII characters a token
 * with current tokenizers, other scripts to about one and a half characters a token. Good to some 20 % on prose; used
 * only to hold budget before a call and where a provider sent no usage, and marked as an estimate then.
 */
export function estimateTokens(text: string): number {
  let ascii = 0;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) < 128) ascii++;
  return Math.ceil(ascii / 4 + (text.length - ascii) / 1.5);
}

/** The same from a count of UTF-8 bytes, where the text itself was not kept. */
export function estimateTokensOfBytes(bytes: number): number {
  return Math.ceil(bytes / 4);
}
