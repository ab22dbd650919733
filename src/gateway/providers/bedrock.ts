import { createAmazonBedrock } from '@ai-sdk/amazon-bedrock';
import type { EmbeddingModelV4CallOptions } from '@ai-sdk/provider';
import { bedrockUsage } from '../usage/bedrock-usage.ts';
import { bedrockEmbeddingUsage } from '../usage/embedding-usage.ts';
import type { ModelConnection, ProviderWire } from './provider-wire.ts';

/** Bedrock by its Converse API. */
export const bedrock: ProviderWire = {
  nativePath: () => null,
  // Requests are signed by the package, over all of their headers.
  authHeaders: () => [],
  chat: {
    open: (connection) => packageOf(connection).languageModel(connection.model),
    limits: {
      without: [],
      refusesFile: () => null,
    },
    usage: bedrockUsage,
    emptyReply: {
      output: { message: { role: 'assistant', content: [] } },
      stopReason: 'end_turn',
      usage: { inputTokens: 0, outputTokens: 0, totalTokens: 0 },
    },
  },
  embeddings: {
    open: (connection) => packageOf(connection).embeddingModel(connection.model),
    options: withDimensions,
    usage: bedrockEmbeddingUsage,
  },
};

/** An AWS access key id, its secret, and a session token for keys that do not last. */
const accessKey = /^((?:AKIA|ASIA)[A-Z0-9]{12,124}):([^:]+)(?::(.+))?$/;

function packageOf({ provider, key, fetch }: ModelConnection) {
  const [, accessKeyId, secretAccessKey, sessionToken] = accessKey.exec(key?.value ?? '') ?? [];
  const region = provider.settings.awsRegion ?? regionOf(provider.baseUrl);
  const shared = { region, baseURL: provider.baseUrl, fetch };
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    return createAmazonBedrock({ ...shared, apiKey: key?.value ?? 'none' });
  }
  // An empty API key keeps the package from looking for one in the environment.
  const signing = { ...shared, apiKey: '', accessKeyId, secretAccessKey };
  return createAmazonBedrock(sessionToken === undefined ? signing : { ...signing, sessionToken });
}

/** `https://bedrock-runtime.eu-central-1.amazonaws.com` says it itself. */
function regionOf(baseUrl: string): string {
  return /bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com/.exec(baseUrl)?.[1] ?? 'us-east-1';
}

/** Each family of embedding models has a name of its own for it. */
function withDimensions(
  { dimensions, ...options }: EmbeddingModelV4CallOptions,
  model: string,
): EmbeddingModelV4CallOptions {
  if (dimensions === undefined) return options;
  const name = model.includes('cohere.')
    ? 'outputDimension'
    : model.includes('nova')
      ? 'embeddingDimension'
      : 'dimensions';
  return { ...options, providerOptions: { amazonBedrock: { [name]: dimensions } } };
}
