/** Replies as providers send them, for tests. */
export const anthropicReply = {
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  model: 'claude-sonnet-4-5',
  content: [{ type: 'text', text: 'Good morning.' }],
  stop_reason: 'end_turn',
  stop_sequence: null,
  usage: {
    input_tokens: 10,
    cache_read_input_tokens: 2,
    cache_creation_input_tokens: 0,
    output_tokens: 4,
    service_tier: 'standard',
  },
};

export const anthropicStream = [
  {
    type: 'message_start',
    message: {
      ...anthropicReply,
      content: [],
      stop_reason: null,
      usage: { input_tokens: 10, output_tokens: 1 },
    },
  },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  { type: 'ping' },
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Good ' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'morning.' } },
  { type: 'content_block_stop', index: 0 },
  {
    type: 'message_delta',
    delta: { stop_reason: 'end_turn', stop_sequence: null },
    usage: { output_tokens: 4 },
  },
  { type: 'message_stop' },
];

const candidate = (text: string, finishReason?: string) => ({
  content: { role: 'model', parts: [{ text }] },
  index: 0,
  ...(finishReason === undefined ? {} : { finishReason }),
});

export const geminiReply = {
  candidates: [candidate('Good morning.', 'STOP')],
  usageMetadata: {
    promptTokenCount: 10,
    candidatesTokenCount: 4,
    thoughtsTokenCount: 5,
    totalTokenCount: 19,
  },
  modelVersion: 'gemini-2.5-flash',
  responseId: 'r1',
};

export const geminiStream = [
  {
    candidates: [candidate('Good ')],
    usageMetadata: { promptTokenCount: 10, candidatesTokenCount: 2, totalTokenCount: 12 },
    modelVersion: 'gemini-2.5-flash',
  },
  {
    candidates: [candidate('morning.', 'STOP')],
    usageMetadata: { promptTokenCount: 10, candidatesTokenCount: 4, totalTokenCount: 14 },
    modelVersion: 'gemini-2.5-flash',
  },
];
