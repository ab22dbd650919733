import { z } from 'zod';
import { AppError } from './errors.ts';
import { isUuid } from './ids.ts';

/** One page of a list in a stable order. */
export interface Page<Cursor> {
  readonly limit: number;
  readonly after: Cursor | null;
}

/** Lists are ordered by when and then by id, so that rows made in the same instant keep their order. */
export interface PageCursor {
  readonly createdAt: Date;
  readonly id: string;
}

/** Query parameters of every list (HTTP-9). */
export const pageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(200).default(50).describe('How many to return, at most 200'),
  cursor: z.string().max(500).optional().describe('`next_cursor` of the page before'),
});

/** @throws AppError `invalid` when the cursor is not one that a list gave out. */
export function pageOf(query: z.infer<typeof pageQuery>): Page<PageCursor> {
  if (query.cursor === undefined) return { limit: query.limit, after: null };
  const [time, id] = Buffer.from(query.cursor, 'base64url').toString('utf8').split('|');
  const createdAt = new Date(time ?? '');
  if (!id || Number.isNaN(createdAt.getTime())) throw notACursor();
  return { limit: query.limit, after: { createdAt, id } };
}

/** The same as `pageOf`, for lists whose ids are UUIDs: the database knows no others. @throws AppError `invalid`. */
export function pageOfUuids(query: z.infer<typeof pageQuery>): Page<PageCursor> {
  const page = pageOf(query);
  if (page.after === null || isUuid(page.after.id)) return page;
  throw notACursor();
}

function notACursor(): AppError {
  return new AppError('invalid', 'The cursor is not one that this list gave out. Start without a cursor.', {
    errors: [{ path: 'cursor', message: 'not a cursor' }],
  });
}

/** The cursor behind the last row of a full page; null on the last page. */
export function nextCursor(rows: readonly { created_at: Date; id: string }[], limit: number): string | null {
  const last = rows.at(-1);
  if (!last || rows.length < limit) return null;
  return Buffer.from(`${last.created_at.toISOString()}|${last.id}`).toString('base64url');
}
