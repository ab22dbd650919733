import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createResponseReader } from './response-reader.ts';

const replies = Buffer.from(
  [
    'HTTP/1.1 200 OK\r\nContent-Length: 11\r\nx-a: 1\r\n\r\nhello world',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n0\r\n\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n',
    'HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nx-trailer: 1\r\n\r\n',
    'HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\n\r\n{}',
  ].join(''),
);

test('replies are told apart wherever the network cuts them', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(replies.length)), (cuts) => {
      const seen: (number | string)[] = [];
      let body = '';
      const reader = createResponseReader({
        body: (bytes, from, to) => {
          body += bytes.toString('latin1', from, to);
        },
        ended: (status) => {
          seen.push(status, body);
          body = '';
        },
      });
      const points = [0, ...cuts.toSorted((left, right) => left - right), replies.length];
      for (let index = 1; index < points.length; index += 1) {
        reader.push(replies.subarray(points[index - 1], points[index]));
      }
      const chunks = '0\r\n\r\n\r\n0123456789\r\n';
      expect(seen).toEqual([200, 'hello world', 200, chunks, 429, '', 200, 'abc\r\n', 500, '{}']);
    }),
  );
});

test('a reply without an end is refused', () => {
  const reader = createResponseReader({ body: () => {}, ended: () => {} });
  expect(() => reader.push(Buffer.from('HTTP/1.1 200 OK\r\nx: y\r\n\r\n'))).toThrow(
    'does not say where it ends',
  );
});
