import type {
  LanguageModelV4FilePart,
  LanguageModelV4Message,
  LanguageModelV4Prompt,
  LanguageModelV4TextPart,
  LanguageModelV4ToolResultPart,
} from '@ai-sdk/provider';

type UserPart = LanguageModelV4TextPart | LanguageModelV4FilePart;

/**
 * Few providers take a picture as the result of a tool, and their packages write it out as text; all that take pictures
 * take them from the user. So a result is its texts, and its files follow under the name of the call.
 */
export function withToolFilesApart(prompt: LanguageModelV4Prompt): LanguageModelV4Prompt {
  return prompt.flatMap((message): LanguageModelV4Message[] => {
    if (message.role !== 'tool') return [message];
    const files: UserPart[] = [];
    const content = message.content.map((part) => (part.type === 'tool-result' ? asText(part, files) : part));
    const results = { ...message, content };
    return files.length === 0 ? [results] : [results, { role: 'user', content: files }];
  });
}

function asText(result: LanguageModelV4ToolResultPart, files: UserPart[]): LanguageModelV4ToolResultPart {
  const { output, toolCallId, toolName } = result;
  if (output.type !== 'content') return result;
  const given = output.value.filter((part) => part.type === 'file');
  if (given.length > 0) {
    files.push({ type: 'text', text: `Files that the tool "${toolName}" gave for the call ${toolCallId}:` });
    files.push(...given);
  }
  const texts = output.value.flatMap((part) => (part.type === 'text' ? [part.text] : []));
  const value = texts.length > 0 || given.length === 0 ? texts.join('\n') : 'See the files that follow.';
  return { ...result, output: { type: 'text', value } };
}
