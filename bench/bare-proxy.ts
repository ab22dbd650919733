import { parseArgs } from 'node:util';
import Fastify from 'fastify';
import { Pool } from 'undici';

/**
 * The baseline: the least that a proxy for chat completions can do with Fastify and undici. One route; the body is
 * forwarded as it came, the reply is piped back; no keys, no limits, no ledger, no logs, no metrics.
 */
const { values } = parseArgs({
  options: { upstream: { type: 'string' }, port: { type: 'string', default: '0' } },
});
if (values.upstream === undefined) throw new Error('--upstream takes the origin to forward to.');

const upstream = new Pool(values.upstream);
const server = Fastify({ logger: false, bodyLimit: 32 * 1024 * 1024 });

server.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
  done(null, body);
});

server.post('/v1/chat/completions', async (request, reply) => {
  const answer = await upstream.request({
    method: 'POST',
    path: '/v1/chat/completions',
    headers: {
      'content-type': 'application/json',
      authorization: request.headers.authorization ?? '',
    },
    body: request.body as Buffer,
  });
  reply.code(answer.statusCode);
  for (const name of ['content-type', 'content-length', 'x-request-id'] as const) {
    const value = answer.headers[name];
    if (value !== undefined) reply.header(name, value);
  }
  return reply.send(answer.body);
});

const address = await server.listen({ host: '127.0.0.1', port: Number(values.port) });
process.stdout.write(`${address}\n`);

process.once('SIGTERM', () => {
  server.server.closeAllConnections();
  void Promise.all([server.close(), upstream.destroy()]);
});
