import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type AddressCheck, createIssuerFetch } from './issuer-fetch.ts';

/** How issuers are asked; which addresses there are to refuse, `address-guard.test.ts` says. */

const open: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

async function serve(listener: RequestListener): Promise<string> {
  const server: Server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** @param leadsTo where names lead, one after the other. */
function asking(leadsTo: readonly string[] = [], refused: readonly string[] = []) {
  const meanings = [...leadsTo];
  const check: AddressCheck = {
    objectionTo: ({ hostname }) => (refused.includes(hostname) ? 'must not be asked' : null),
    lookup: (_name, options, callback) => {
      const address = meanings.shift() ?? '';
      if (refused.includes(address)) callback(new Error('leads to a private address'), '', 0);
      else if (options.all) callback(null, [{ address, family: 4 }]);
      else callback(null, address, 4);
    },
  };
  const made = createIssuerFetch(check, { timeoutMs: 300, maxAnswerBytes: 1_000 });
  open.push(made.stop);
  return made.fetch;
}

describe('an issuer', () => {
  it('is asked with what is to be said, and heard', async () => {
    const url = await serve(async (request, response) => {
      let body = '';
      for await (const part of request) body += part;
      response.writeHead(201, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ method: request.method, body, said: request.headers['x-said'] }));
    });
    const reply = await asking()(`${url}/token`, {
      method: 'POST',
      headers: { 'x-said': 'yes' },
      body: 'a=b',
    });
    expect(reply.status).toBe(201);
    expect(await reply.json()).toEqual({ method: 'POST', body: 'a=b', said: 'yes' });
  });

  it('is not asked where the address itself is refused, as those that its description names may be', async () => {
    let asked = 0;
    const url = await serve((_request, response) => {
      asked++;
      response.end();
    });
    await expect(asking([], ['127.0.0.1'])(`${url}/token`)).rejects.toMatchObject({ code: 'invalid' });
    expect(asked).toBe(0);
  });

  it('leads nowhere else: a redirect is an answer', async () => {
    let followed = 0;
    const inside = await serve((_request, response) => {
      followed++;
      response.end('secrets of the inside');
    });
    for (const status of [301, 302, 303, 307, 308]) {
      const url = await serve((_request, response) =>
        response.writeHead(status, { location: inside }).end('moved'),
      );
      const reply = await asking()(url);
      expect([reply.status, await reply.text()]).toEqual([status, 'moved']);
    }
    expect(followed).toBe(0);
  });

  it('is judged by where its name leads when it is connected to, however it led before', async () => {
    const url = await serve((_request, response) => {
      response.setHeader('connection', 'close');
      response.end('ok');
    });
    const { port } = new URL(url);
    const fetch = asking(['127.0.0.1', '169.254.169.254'], ['169.254.169.254']);
    expect((await fetch(`http://rebinding.test:${port}/`)).status).toBe(200);
    await expect(fetch(`http://rebinding.test:${port}/`)).rejects.toThrow('leads to a private address');
  });

  it('that says too much, or nothing, is not waited for', async () => {
    const much = await serve((_request, response) => response.end('x'.repeat(2_000)));
    await expect(asking()(much)).rejects.toThrow();
    const nothing = await serve(() => {});
    await expect(asking()(nothing)).rejects.toThrow();
    const slowly = await serve((_request, response) => {
      response.write('x');
    });
    await expect(asking()(slowly)).rejects.toThrow();
  });
});
