import { FieldReader } from '../translation/field-reader.ts';
import type { ChatTranslation } from '../translation/translation.ts';
import { readChatPrompt } from './openai-chat-prompt.ts';
import { writeChatReply } from './openai-chat-reply.ts';
import { chatFieldNames, readChatSettings } from './openai-chat-settings.ts';
import { ChatStreamWriter } from './openai-chat-stream-writer.ts';
import { writeOpenAiError } from './openai-error.ts';

/** OpenAI's chat, for providers that do not speak it. */
export const openAiChatTranslation: ChatTranslation = {
  kind: 'chat',
  fieldNames: chatFieldNames,
  readRequest(request) {
    const fields = new FieldReader();
    const prompt = readChatPrompt(fields.list(request.messages, 'messages') ?? [], fields);
    const settings = readChatSettings(request, fields);
    fields.finish();
    return { prompt, ...settings };
  },
  writeReply: writeChatReply,
  openStream: (context) => new ChatStreamWriter(context),
  writeError: writeOpenAiError,
};
