/** How the clients of one dialect ask, and what they make of a stream. */
export interface Dialect {
  readonly name: 'chat' | 'responses' | 'messages';
  request(
    model: string,
    content: string,
    maxTokens: number,
  ): { readonly path: string; readonly body: Record<string, unknown> };
  /** The text that one event adds. */
  textOf(event: Json): string;
  /** The event that says that all went well. */
  isEnd(data: string): boolean;
}

type Json = Readonly<Record<string, any>>;

export const chat: Dialect = {
  name: 'chat',
  request: (model, content, maxTokens) => ({
    path: '/v1/chat/completions',
    body: { model, max_tokens: maxTokens, messages: [{ role: 'user', content }] },
  }),
  textOf: (event) => event.choices?.[0]?.delta?.content ?? '',
  isEnd: (data) => data === '[DONE]',
};

export const responses: Dialect = {
  name: 'responses',
  request: (model, content, maxTokens) => ({
    path: '/v1/responses',
    body: { model, max_output_tokens: maxTokens, input: content, store: false },
  }),
  textOf: (event) => (event.type === 'response.output_text.delta' ? event.delta : ''),
  isEnd: (data) => data.startsWith('{"type":"response.completed"'),
};

export const messages: Dialect = {
  name: 'messages',
  request: (model, content, maxTokens) => ({
    path: '/v1/messages',
    body: { model, max_tokens: maxTokens, messages: [{ role: 'user', content }] },
  }),
  textOf: (event) => event.delta?.text ?? '',
  isEnd: (data) => data.includes('"message_stop"'),
};

export const dialects = [chat, responses, messages] as const;

/** Gathers the text of a stream of events, as strictly as clients do. */
export class StreamedText {
  readonly #dialect: Dialect;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true });
  #rest = '';
  readonly #pieces: string[] = [];
  readonly #keepsText: boolean;
  /** Events with text in them. */
  pieces = 0;
  /** Comments, which clients skip. */
  comments = 0;
  ended = false;
  /** Data of an error event. */
  error: string | null = null;

  constructor(dialect: Dialect, keepsText: boolean) {
    this.#dialect = dialect;
    this.#keepsText = keepsText;
  }

  /** @throws Error on an event that cannot be read, or one behind the last. */
  push(chunk: Uint8Array): void {
    this.#rest += this.#decoder.decode(chunk, { stream: true });
    let start = 0;
    for (let end = this.#rest.indexOf('\n\n'); end >= 0; end = this.#rest.indexOf('\n\n', start)) {
      this.#event(this.#rest.slice(start, end));
      start = end + 2;
    }
    this.#rest = this.#rest.slice(start);
  }

  text(): string {
    return this.#pieces.join('');
  }

  /** Whether nothing is left of an event that was begun. */
  get isWhole(): boolean {
    return this.#rest === '';
  }

  #event(event: string): void {
    if (event.startsWith(':')) {
      this.comments++;
      return;
    }
    if (this.ended) throw new Error(`an event behind the end: ${event}`);
    const data = /^data: ?(.*)$/m.exec(event)?.[1] ?? '';
    this.ended = this.#dialect.isEnd(data);
    if (data === '[DONE]') return;
    const said = JSON.parse(data) as Json;
    if (said.error || said.type === 'error') this.error = data;
    const text = this.#dialect.textOf(said);
    if (text === '') return;
    if (this.#keepsText) this.#pieces.push(text);
    this.pieces++;
  }
}
