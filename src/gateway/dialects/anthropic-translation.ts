import { FieldReader } from '../translation/field-reader.ts';
import type { ChatTranslation } from '../translation/translation.ts';
import { anthropicError } from './anthropic-error.ts';
import { writeMessage } from './anthropic-message.ts';
import { readAnthropicPrompt } from './anthropic-prompt.ts';
import { anthropicFieldNames, readAnthropicSettings } from './anthropic-settings.ts';
import { AnthropicStreamWriter } from './anthropic-stream-writer.ts';

/** Anthropic's messages, for providers that do not speak them. */
export const anthropicTranslation: ChatTranslation = {
  kind: 'chat',
  fieldNames: anthropicFieldNames,
  mandatory: ['maxOutputTokens'],
  readRequest(request) {
    const fields = new FieldReader();
    const prompt = readAnthropicPrompt(request, fields);
    const settings = readAnthropicSettings(request, fields);
    fields.finish();
    return { prompt, ...settings };
  },
  writeReply: writeMessage,
  openStream: (context) => new AnthropicStreamWriter(context),
  writeError: (error) => Buffer.from(JSON.stringify(anthropicError(error))),
};
