import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { readBody } from './exchange.ts';
import type { FaultInput, FaultSchedule, Faults } from './faults.ts';
import type { Journal } from './journal.ts';
import type { Pace } from './options.ts';

const paceSchema = z
  .strictObject({
    latencyMs: z.number().min(0).max(600_000),
    latencySigma: z.number().min(0).max(5),
    firstTokenMs: z.number().min(0).max(600_000),
    chunkDelayMs: z.number().min(0).max(60_000),
  })
  .partial();

export interface Controls {
  readonly journal: Journal;
  readonly faults: Faults;
  setPace(pace: Partial<Pace>): Pace;
  reset(): void;
}

/**
 * What another process drives the simulator with:
 * `GET /__sim/journal?limit=100`, `GET|POST|DELETE /__sim/faults`, `GET|POST|DELETE /__sim/schedule`,
 * `POST /__sim/pace`, `POST /__sim/reset`.
 */
export async function serveControl(
  request: IncomingMessage,
  response: ServerResponse,
  controls: Controls,
): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://simulator');
  try {
    const body = await readBody(request);
    const command = `${request.method} ${pathname}`;
    const answer = await obey(
      command,
      searchParams,
      () => JSON.parse(body.toString('utf8') || 'null'),
      controls,
    );
    sendJson(response, answer === undefined ? 404 : 200, answer ?? { error: `There is no ${command}.` });
  } catch (error) {
    sendJson(response, 400, { error: error instanceof Error ? error.message : String(error) });
  }
}

function obey(command: string, query: URLSearchParams, body: () => unknown, controls: Controls): unknown {
  const { journal, faults } = controls;
  switch (command) {
    case 'GET /__sim/journal': {
      const limit = Math.max(1, Number(query.get('limit') ?? 1_000) || 1_000);
      return { totals: journal.totals(), calls: journal.calls().slice(-limit) };
    }
    case 'GET /__sim/faults':
      return { faults: faults.standing() };
    case 'POST /__sim/faults':
      faults.set(body() as FaultInput | FaultInput[] | null);
      return { faults: faults.standing() };
    case 'DELETE /__sim/faults':
      faults.set(null);
      return { faults: [] };
    case 'GET /__sim/schedule':
      return { schedules: faults.schedules() };
    case 'POST /__sim/schedule':
      faults.schedule(body() as FaultSchedule | FaultSchedule[] | null);
      return { schedules: faults.schedules() };
    case 'DELETE /__sim/schedule':
      faults.schedule(null);
      return { schedules: [] };
    case 'POST /__sim/pace':
      return controls.setPace(withoutUndefined(paceSchema.parse(body())));
    case 'POST /__sim/reset':
      controls.reset();
      return { totals: journal.totals() };
    default:
      return undefined;
  }
}

function withoutUndefined(pace: { [K in keyof Pace]?: Pace[K] | undefined }): Partial<Pace> {
  return Object.fromEntries(Object.entries(pace).filter(([, value]) => value !== undefined));
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}
