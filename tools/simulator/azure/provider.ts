import { serveChat, serveEmbeddings, serveModels } from '../openai/provider.ts';
import { createResponses } from '../openai/responses.ts';
import type { Endpoint, Provider } from '../provider.ts';
import { unknownPath } from '../provider-error.ts';
import { azureFace } from './face.ts';

type Api = 'chat/completions' | 'responses' | 'embeddings';
const wires = {
  'chat/completions': 'azure-chat',
  responses: 'azure-responses',
  embeddings: 'azure-embeddings',
} as const;

/**
 * Azure OpenAI: `/openai/v1/…`, which is OpenAI's API with another key header, and the older
 * `/openai/deployments/{deployment}/…?api-version=…`, whose path names the model.
 */
export function createAzure(): Provider {
  const serveResponses = createResponses();
  const serving: Readonly<Record<Api, Endpoint['serve']>> = {
    'chat/completions': (exchange, body, service) => serveChat(exchange, body, service, true),
    responses: serveResponses,
    embeddings: serveEmbeddings,
  };

  function byDeployment(deployment: string, api: Api, dated: boolean): Endpoint {
    const model = decodeURIComponent(deployment);
    return {
      ...{ wire: wires[api], face: azureFace, method: 'POST', model },
      serve(exchange, body, service) {
        if (!dated) throw unknownPath('unknown-path', exchange.call.method, exchange.call.path);
        return serving[api](exchange, { ...body, model }, service);
      },
    };
  }

  return {
    find({ pathname, searchParams }) {
      if (!pathname.startsWith('/openai/')) return undefined;
      const [, current] = /^\/openai\/v1\/(chat\/completions|responses|embeddings)$/u.exec(pathname) ?? [];
      if (current) {
        const api = current as Api;
        return { wire: wires[api], face: azureFace, method: 'POST', serve: serving[api] };
      }
      const [, deployment, older] =
        /^\/openai\/deployments\/([^/]+)\/(chat\/completions|embeddings)$/u.exec(pathname) ?? [];
      const dated = searchParams.has('api-version');
      if (deployment && older) return byDeployment(deployment, older as Api, dated);
      if (pathname === '/openai/responses' && dated)
        return { wire: 'azure-responses', face: azureFace, method: 'POST', serve: serveResponses };
      if (/^\/openai\/v1\/models(?:\/|$)/u.test(pathname))
        return { wire: 'azure-models', face: azureFace, method: 'GET', serve: serveModels };
      return undefined;
    },
  };
}
