import type {
  LanguageModelV4CallOptions,
  LanguageModelV4FilePart,
  LanguageModelV4Message,
  SharedV4Warning,
} from '@ai-sdk/provider';
import type { FieldProblem } from '../../platform/errors.ts';
import type { ChatWire, ModelConnection } from '../providers/provider-wire.ts';
import type { FieldNames, NeutralField } from './call-limits.ts';

/**
 * Goes through a call without asking anybody. The provider packages leave out what a model does not take, and only
 * say so beside the reply, when it has been paid for; here they say it before.
 * @returns what would be lost, as the caller named it.
 */
export async function rehearse(
  wire: ChatWire,
  connection: ModelConnection,
  options: LanguageModelV4CallOptions,
  names: FieldNames,
): Promise<FieldProblem[]> {
  const reply = JSON.stringify(wire.emptyReply);
  const fetch = async () => new Response(reply, { headers: { 'content-type': 'application/json' } });
  let warnings: readonly SharedV4Warning[];
  try {
    ({ warnings } = await wire.open({ ...connection, fetch }).doGenerate(withoutBulk(options)));
  } catch (error) {
    // There was no reply that could have been wrong, so it is the request.
    return [
      { path: names.prompt ?? 'messages', message: error instanceof Error ? error.message : String(error) },
    ];
  }
  return warnings.filter((warning) => !isAccepted(warning)).map((warning) => problemOf(warning, names));
}

/** Enough of a file to tell what it is. */
const enoughCharacters = 4_096;

/** The same call with the beginnings of its files: what is said of a file does not depend on the rest of it. */
function withoutBulk(options: LanguageModelV4CallOptions): LanguageModelV4CallOptions {
  const prompt = options.prompt.map((message): LanguageModelV4Message => {
    if (message.role !== 'user') return message;
    const content = message.content.map((part) => (part.type === 'file' ? beginningOf(part) : part));
    return { ...message, content };
  });
  return { ...options, prompt };
}

function beginningOf(file: LanguageModelV4FilePart): LanguageModelV4FilePart {
  const { data } = file;
  if (data.type !== 'data' || typeof data.data !== 'string' || data.data.length <= enoughCharacters)
    return file;
  return { ...file, data: { type: 'data', data: data.data.slice(0, enoughCharacters) } };
}

/** What loses nothing that was asked for. */
function isAccepted(warning: SharedV4Warning): boolean {
  if (warning.type === 'deprecated') return true;
  // What another provider's model thought, and signed, means nothing to this one; a conversation may go on elsewhere.
  if (warning.type === 'other' && warning.message === 'unsupported reasoning metadata') return true;
  if (warning.type !== 'compatibility') return false;
  // Models that a package does not know get its most cautious bound on output; an effort that a model does not have
  // becomes the next one that it has.
  return (
    warning.feature === 'maxOutputTokens' ||
    (warning.feature === 'reasoning' && /mapped to/.test(warning.details ?? ''))
  );
}

/** What the packages call by another name than the neutral form does. */
const aliases: Readonly<Record<string, NeutralField>> = { strict: 'strictTools' };

function problemOf(warning: SharedV4Warning, names: FieldNames): FieldProblem {
  if ('feature' in warning) {
    const field = (aliases[warning.feature] ?? warning.feature) as NeutralField;
    const message = warning.details ?? 'cannot be asked of this model';
    return { path: names[field] ?? field, message };
  }
  return {
    path: names.prompt ?? 'messages',
    message: 'message' in warning ? warning.message : 'cannot be carried',
  };
}
