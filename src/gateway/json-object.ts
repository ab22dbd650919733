/** What JSON.parse gives for an object. */
export type JsonObject = Readonly<Record<string, unknown>>;
