import { call } from '../harness/server.ts';
import { ask } from './document-traffic.ts';
import { type CrashRun, chatModel, embeddingModel, report, tenantOf, tenantSlugs } from './house.ts';
import type { CallKind, KnownCall } from './journal.ts';
import type { Draws } from './random.ts';

/** Calls a model once, under a correlation id of its own, and notes whether the whole reply arrived. */
export async function callModel(run: CrashRun, url: string, draws: Draws, kind: CallKind): Promise<void> {
  const number = run.journal.calls.length + 1;
  const known: KnownCall = {
    correlationId: `crash-${run.seed}-${number}`,
    tenant: draws.pick(tenantSlugs),
    kind,
    round: run.round,
    finished: false,
  };
  run.journal.calls.push(known);
  known.finished = kind === 'stream' ? await stream(run, url, draws, known) : await whole(run, url, known);
  if (known.finished) run.journal.acknowledged();
}

async function whole(run: CrashRun, url: string, known: KnownCall): Promise<boolean> {
  const { path, body } = requestOf(known);
  const { writerKey } = tenantOf(run, known.tenant);
  const headers = { 'x-correlation-id': known.correlationId };
  const reply = await ask(run, call(url, writerKey, 'POST', path, body, headers));
  if (reply === null) return false;
  if (reply.status < 300) return reply.json !== undefined;
  refused(run, known, reply.status, reply.text);
  return false;
}

/** Reads on to the end mark; what comes after it is nobody's. */
async function stream(run: CrashRun, url: string, draws: Draws, known: KnownCall): Promise<boolean> {
  const { path, body } = requestOf(known);
  const asked = draws.chance(0.5) ? { stream_options: { include_usage: true } } : {};
  let text = '';
  try {
    const response = await fetch(url + path, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${tenantOf(run, known.tenant).writerKey}`,
        'content-type': 'application/json',
        'x-correlation-id': known.correlationId,
      },
      body: JSON.stringify({ ...body, stream: true, ...asked }),
    });
    for await (const part of response.body ?? []) {
      text += Buffer.from(part).toString('latin1');
      if (text.includes('data: [DONE]')) return true;
    }
    if (response.status !== 200) refused(run, known, response.status, text);
  } catch {
    // The connection broke; what arrived before decides.
  }
  return text.includes('data: [DONE]');
}

/** The simulated provider never fails, so the only refusals there may be are those of a server that stops. */
function refused(run: CrashRun, known: KnownCall, status: number, text: string): void {
  if (status !== 503) report(run, 'accepted', `${known.kind} answered ${status}: ${text.slice(0, 300)}`);
}

function requestOf({ kind, correlationId }: KnownCall): { path: string; body: Record<string, unknown> } {
  const question = `What does the harbour log say about ${correlationId}?`;
  switch (kind) {
    case 'chat':
    case 'stream':
      return {
        path: '/v1/chat/completions',
        body: { model: `sim/${chatModel}`, messages: [{ role: 'user', content: question }] },
      };
    case 'embeddings':
      return {
        path: '/v1/embeddings',
        body: { model: `sim/${embeddingModel}`, input: [question, 'Harbour.'] },
      };
    case 'question':
      return {
        path: '/api/v1/query',
        body: { query: 'What does the harbour log say about the signal word?' },
      };
  }
}
