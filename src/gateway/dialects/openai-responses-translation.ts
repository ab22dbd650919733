import { FieldReader } from '../translation/field-reader.ts';
import type { ChatTranslation } from '../translation/translation.ts';
import { writeOpenAiError } from './openai-error.ts';
import { ResponseEvents } from './openai-responses-events.ts';
import { readInput } from './openai-responses-input.ts';
import { writeResponse } from './openai-responses-reply.ts';
import { readResponsesSettings, responsesFieldNames } from './openai-responses-settings.ts';

/** OpenAI's responses, for providers that do not speak them. */
export const openAiResponsesTranslation: ChatTranslation = {
  kind: 'chat',
  fieldNames: responsesFieldNames,
  readRequest(request) {
    const fields = new FieldReader();
    const prompt = readInput(request, fields);
    const settings = readResponsesSettings(request, fields);
    fields.finish();
    return { prompt, ...settings };
  },
  writeReply: (result, context) => Buffer.from(JSON.stringify(writeResponse(result, context))),
  openStream: (context) => new ResponseEvents(context),
  writeError: writeOpenAiError,
};
