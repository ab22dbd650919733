import { createAmazonBedrock } from '@ai-sdk/amazon-bedrock';
import { bedrockUsage } from '../usage/bedrock-usage.ts';
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
  embeddings: null,
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
