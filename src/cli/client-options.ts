/** Options of every command that calls a server. */
export const clientOptions = {
  url: {
    type: 'string',
    value: 'address',
    help: 'the server; else GATEHOUSE_URL, else HOST and PORT, else http://127.0.0.1:8080',
  },
  key: {
    type: 'string',
    value: 'key',
    help: 'the API key; else GATEHOUSE_API_KEY, which other users of this machine cannot see',
  },
  ca: {
    type: 'string',
    value: 'file',
    help: 'certificates to trust beside the usual ones, PEM; else GATEHOUSE_CA_FILE',
  },
  tenant: { type: 'string', value: 'id or slug', help: 'the tenant to act in, for the key of an owner' },
} as const;

/** Their values. */
export interface ServerValues {
  readonly url?: string;
  readonly key?: string;
  readonly ca?: string;
  readonly tenant?: string;
}
