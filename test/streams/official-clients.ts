import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { testAdminKey } from '../harness/server.ts';
import type { Dialect } from './dialects.ts';

/** What came of a stream with a long silence in it. */
export interface SilenceSeen {
  readonly id: string;
  /** Comments on the wire. */
  readonly comments: number;
  /** What the official client made of the stream. */
  readonly text: string;
}

/** Reads a stream with the official client of a dialect, and looks at the bytes on their way to it. */
export async function readSilence(
  url: string,
  dialect: Dialect['name'],
  model: string,
  id: string,
): Promise<SilenceSeen> {
  let comments = 0;
  const counting: typeof fetch = async (input, init) => {
    const response = await fetch(input, init);
    const counted = response.body?.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          // After a silence a comment comes alone.
          if (Buffer.from(chunk).toString().startsWith(':')) comments++;
          controller.enqueue(chunk);
        },
      }),
    );
    return new Response(counted, { status: response.status, headers: response.headers });
  };
  const text = await readText(dialect, url, counting, model, id);
  return { id, comments, text };
}

async function readText(
  dialect: Dialect['name'],
  url: string,
  fetch: typeof globalThis.fetch,
  model: string,
  id: string,
): Promise<string> {
  const options = { apiKey: testAdminKey, maxRetries: 0, fetch };
  const openai = new OpenAI({ ...options, baseURL: `${url}/v1` });
  const headers = { headers: { 'x-correlation-id': id } };
  const messages = [{ role: 'user' as const, content: `This is ${id}.` }];
  let text = '';
  switch (dialect) {
    case 'chat': {
      const stream = await openai.chat.completions.create({ model, stream: true, messages }, headers);
      for await (const part of stream) text += part.choices[0]?.delta.content ?? '';
      return text;
    }
    case 'responses': {
      const asked = { model, stream: true as const, input: `This is ${id}.`, store: false };
      for await (const event of await openai.responses.create(asked, headers))
        if (event.type === 'response.output_text.delta') text += event.delta;
      return text;
    }
    case 'messages': {
      const anthropic = new Anthropic({ ...options, baseURL: url });
      const stream = anthropic.messages.stream({ model, max_tokens: 4_000, messages }, headers);
      for (const part of (await stream.finalMessage()).content) if (part.type === 'text') text += part.text;
      return text;
    }
  }
}
