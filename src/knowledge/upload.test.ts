import { describe, expect, it } from 'vitest';
import type { FastifyRequest } from '../platform/api.ts';
import { readUpload } from './upload.ts';

describe('a connection that is reset while a form is read', () => {
  const reset = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
  const reading = (raw: { destroyed: boolean; complete: boolean }) => {
    const parts = async function* () {
      yield { type: 'file', fieldname: 'file' };
    };
    return readUpload({ headers: {}, parts, raw } as unknown as FastifyRequest, {
      maxFileBytes: 1_000,
      receive: () => Promise.reject(reset),
      drop: async () => {},
    });
  };

  it("is the client's when the client is gone", async () => {
    await expect(reading({ destroyed: true, complete: false })).rejects.toMatchObject({
      code: 'client_gone',
      cause: reset,
    });
  });

  it('is somebody else’s, such as the database’s, while the client waits for its answer', async () => {
    await expect(reading({ destroyed: false, complete: false })).rejects.toBe(reset);
    await expect(reading({ destroyed: true, complete: true })).rejects.toBe(reset);
  });
});
