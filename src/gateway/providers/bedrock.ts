import { createAmazonBedrock } from '@ai-sdk/amazon-bedrock';
import type {
  EmbeddingModelV4CallOptions,
  LanguageModelV4CallOptions,
  LanguageModelV4FilePart,
} from '@ai-sdk/provider';
import type { FieldRefusal } from '../translation/call-limits.ts';
import { claudeThought, withOwnThoughts } from '../translation/own-thoughts.ts';
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
    adapt: (options) =>
      withOwnThoughts(options, (metadata) => {
        if (metadata.amazonBedrock?.redactedContent !== undefined) return metadata;
        const thought = claudeThought(metadata);
        return thought === null ? null : { amazonBedrock: { ...thought } };
      }),
    limits: { without: [], refusesFile, check },
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

function refusesFile({ data, mediaType }: LanguageModelV4FilePart): string | null {
  if (mediaType.startsWith('audio/')) return 'cannot be sent to bedrock providers';
  if (data.type !== 'url') return null;
  return 'cannot be fetched by bedrock providers: send the file itself, as a data URI';
}

function check(options: LanguageModelV4CallOptions, model: string): FieldRefusal[] {
  const refusals: FieldRefusal[] = [];
  const { responseFormat, providerOptions } = options;
  if (responseFormat?.type === 'json' && responseFormat.schema === undefined) {
    refusals.push({ field: 'responseFormat', message: 'needs a schema: use json_schema' });
  }
  // The package knows a place for it with Claude only.
  if (providerOptions?.anthropic?.disableParallelToolUse === true && !model.includes('anthropic.')) {
    refusals.push({ field: 'parallelToolCalls', message: 'cannot be asked of this model' });
  }
  return refusals;
}
