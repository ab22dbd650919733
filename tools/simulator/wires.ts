/** The wire formats, as the journal and faults name them. */
export const wires = [
  'openai-chat',
  'openai-responses',
  'openai-embeddings',
  'anthropic-messages',
  'anthropic-count',
  'gemini-generate',
  'gemini-embed',
  'gemini-count',
  'azure-chat',
  'azure-responses',
  'azure-embeddings',
  'bedrock-converse',
  'bedrock-embeddings',
  'ollama-chat',
  'ollama-embed',
  'kapa-chat',
  'kapa-feedback',
  'openai-models',
  'azure-models',
  'anthropic-models',
  'gemini-models',
  'ollama-lists',
  /** Paths that nothing serves. */
  'other',
] as const;
export type Wire = (typeof wires)[number];

/** What is not a call of a model. */
export const listWires: ReadonlySet<Wire> = new Set<Wire>([
  'openai-models',
  'azure-models',
  'anthropic-models',
  'gemini-models',
  'ollama-lists',
  'other',
]);
