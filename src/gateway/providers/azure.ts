import { openAi } from './openai.ts';
import { keyHeader, type ProviderWire } from './provider-wire.ts';

/**
 * Azure OpenAI by its v1 API, `https://<resource>.openai.azure.com/openai/v1`, which is OpenAI's with another header
 * for the key (https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle). Models are named by their
 * deployments.
 */
export const azure: ProviderWire = { ...openAi, authHeaders: keyHeader('api-key') };
