import type {
  LanguageModelV4CallOptions,
  LanguageModelV4FilePart,
  LanguageModelV4Message,
} from '@ai-sdk/provider';
import type { FieldProblem } from '../../platform/errors.ts';

/** What a call can ask for, by the names of the neutral form. */
export type NeutralField =
  | Exclude<
      keyof LanguageModelV4CallOptions,
      'abortSignal' | 'headers' | 'includeRawChunks' | 'providerOptions'
    >
  | 'parallelToolCalls'
  | 'strictTools';

/** What calls may ask of one kind of provider, where its package would leave the rest out without a word. */
export interface CallLimits {
  /** Settings that it has no place for. */
  readonly without: readonly NeutralField[];
  /** @returns why this model cannot be given a file; null when it can. */
  refusesFile(file: LanguageModelV4FilePart, model: string): string | null;
  /** Further rules. */
  check?(options: LanguageModelV4CallOptions, model: string): readonly FieldRefusal[];
}

export interface FieldRefusal {
  readonly field: NeutralField;
  readonly message: string;
}

/** How a dialect calls the neutral fields; those that are missing keep their name. */
export type FieldNames = Partial<Readonly<Record<NeutralField, string>>>;

/**
 * Where a part of a prompt stands in the caller's body, so that a refusal can name it: dialects put
 * `providerOptions: fieldPath('messages.0.content.1')` on what may not go everywhere. No package reads it.
 */
export function fieldPath(path: string): { gatehouse: { path: string } } {
  return { gatehouse: { path } };
}

/** @returns the fields that this kind of provider cannot be given, as the caller named them. */
export function problemsOf(
  options: LanguageModelV4CallOptions,
  limits: CallLimits,
  names: FieldNames,
  kind: string,
  model: string,
): FieldProblem[] {
  const asked = fieldsAsked(options);
  const missing = limits.without
    .filter((field) => asked.has(field))
    .map((field) => ({ path: names[field] ?? field, message: `cannot be asked of ${kind} providers` }));
  const broken = (limits.check?.(options, model) ?? []).map(({ field, message }) => ({
    path: names[field] ?? field,
    message,
  }));
  return [...missing, ...broken, ...fileProblems(options, limits, names, model)];
}

function fieldsAsked(options: LanguageModelV4CallOptions): Set<string> {
  const given = Object.entries(options).filter(([, value]) => value !== undefined && !isEmptyList(value));
  const asked = new Set(given.map(([key]) => key));
  const { openai, anthropic } = options.providerOptions ?? {};
  if (openai?.parallelToolCalls === false || anthropic?.disableParallelToolUse === true) {
    asked.add('parallelToolCalls');
  }
  if (options.tools?.some((tool) => tool.type === 'function' && tool.strict === true)) {
    asked.add('strictTools');
  }
  return asked;
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

function fileProblems(
  { prompt }: LanguageModelV4CallOptions,
  limits: CallLimits,
  names: FieldNames,
  model: string,
): FieldProblem[] {
  return prompt.flatMap(filesIn).flatMap((file) => {
    const message = limits.refusesFile(file, model);
    return message === null ? [] : [{ path: pathOf(file) ?? names.prompt ?? 'messages', message }];
  });
}

function filesIn(message: LanguageModelV4Message): LanguageModelV4FilePart[] {
  if (message.role !== 'user' && message.role !== 'assistant') return [];
  const files: LanguageModelV4FilePart[] = [];
  for (const part of message.content) if (part.type === 'file') files.push(part);
  return files;
}

function pathOf({ providerOptions }: LanguageModelV4FilePart): string | null {
  const path = providerOptions?.gatehouse?.path;
  return typeof path === 'string' ? path : null;
}
