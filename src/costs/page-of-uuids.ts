import type { z } from 'zod';
import { AppError } from '../platform/errors.ts';
import { isUuid } from '../platform/ids.ts';
import { type Page, type PageCursor, pageOf, type pageQuery } from '../platform/page.ts';

/** The same as `pageOf`, for lists whose ids are UUIDs. @throws AppError `invalid`. */
export function pageOfUuids(query: z.infer<typeof pageQuery>): Page<PageCursor> {
  const page = pageOf(query);
  if (page.after === null || isUuid(page.after.id)) return page;
  throw new AppError('invalid', 'The cursor is not one that this list gave out. Start without a cursor.', {
    errors: [{ path: 'cursor', message: 'not a cursor' }],
  });
}
