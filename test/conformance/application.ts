/** What an application does with one dialect, by that dialect's official client, unmodified. */
export interface Application {
  /** Where it calls, as the table says it. */
  readonly endpoint: string;
  readonly client: string;
  /** What it asks for, by the name of the column. */
  readonly does: Readonly<Record<string, (model: string) => Promise<void>>>;
  /** What its client throws for a refusal of the request, and for a limit that is reached. */
  readonly badRequest: new (
    ...args: never[]
  ) => Error;
  readonly limited: new (...args: never[]) => Error;
}

/** What an application is given: all that a user of the client changes, and how its calls are found again. */
export interface Setting {
  /** Of the server. */
  readonly url: string;
  readonly apiKey: string;
  readonly correlationId: string;
  /** False: the provider tells no usage, so none can be expected. */
  readonly tellsUsage: boolean;
}

export const headersOf = ({ correlationId }: Setting) => ({ 'x-correlation-id': correlationId });

/** The least that the official clients' errors have in common. */
export interface ClientError extends Error {
  readonly status: number | undefined;
  /** The body of the reply. */
  readonly error: unknown;
}

export const weather = {
  name: 'weather',
  description: 'How the weather is in a city',
  schema: {
    type: 'object' as const,
    properties: { city: { type: 'string' as const } },
    required: ['city'],
    additionalProperties: false as const,
  },
};

export const trip = {
  type: 'object' as const,
  properties: { city: { type: 'string' as const }, days: { type: 'integer' as const } },
  required: ['city', 'days'],
  additionalProperties: false as const,
};

/** More than the simulated models take at once, whatever counts it. */
export const longText = 'All work and no play makes a long prompt. '.repeat(2_500);

/** Longer than a word, and nothing that a translation put in place of an answer. */
export function expectAnswer(text: string | null | undefined): void {
  if (typeof text !== 'string' || text.trim().length < 5)
    throw new Error(`no answer: ${JSON.stringify(text)}`);
}

export function expectTrip(parsed: unknown): void {
  const { city, days } = parsed as { city?: unknown; days?: unknown };
  if (typeof city !== 'string' || typeof days !== 'number') {
    throw new Error(`not what the schema asks for: ${JSON.stringify(parsed)}`);
  }
}

export function expectUsage(
  { tellsUsage }: Setting,
  input: number | undefined,
  output: number | undefined,
): void {
  if (tellsUsage && (!input || !output)) throw new Error(`no usage: ${input} in, ${output} out`);
}
