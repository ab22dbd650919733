import { clientOptions } from './client-options.ts';
import { type Command, commonOptions, defineCommand } from './command.ts';
import { readExtensions } from './ingest/find-files.ts';

/** Every command there is, in the order in which the help shows them. */
export const commands: readonly Command[] = [
  defineCommand({
    name: 'serve',
    summary: 'run the server',
    description:
      'Starts the database that comes with Gatehouse (or uses DATABASE_URL), brings its schema up to date and serves until it is told to stop. Its settings are environment variables; docs/configuration.md lists them.',
    arguments: '',
    least: 0,
    most: 0,
    options: commonOptions,
    examples: ['gatehouse serve', 'PORT=9000 GATEHOUSE_DATA_DIR=/var/lib/gatehouse gatehouse serve'],
    run: async (_values, _given, { environment, output }) =>
      (await import('./serve.ts')).serve(environment, output),
  }),
  defineCommand({
    name: 'migrate',
    summary: 'bring the database schema up to date and end',
    description:
      'Does what serve does first, for deployments that change the schema before they start the new version.',
    arguments: '',
    least: 0,
    most: 0,
    options: commonOptions,
    examples: ['DATABASE_URL=postgres://gatehouse@db.internal/gatehouse gatehouse migrate'],
    run: async (_values, _given, { environment, output }) =>
      (await import('./migrate.ts')).migrate(environment, output),
  }),
  defineCommand({
    name: 'ask',
    summary: 'ask the documents of a running server',
    description:
      'Answers from the documents that your key may read, and names for each answer the documents and characters that it rests on. On a terminal the answer appears as it is made.',
    arguments: '"<question>"',
    least: 1,
    most: 1,
    options: {
      model: { type: 'string', value: 'name', help: 'a route, or provider/model; else what the routes name' },
      stream: { type: 'boolean', help: 'show the answer as it is made (the default on a terminal)' },
      ...clientOptions,
      ...commonOptions,
    },
    examples: [
      'gatehouse ask "How does Gatehouse keep tenants apart?"',
      'gatehouse ask "What is our notice period?" --tenant acme --json',
    ],
    exits: { 3: 'the sources do not cover the question' },
    run: async (values, [question = ''], context) =>
      (await import('./ask.ts')).ask(question, values, context),
  }),
  defineCommand({
    name: 'ingest',
    summary: 'send files and folders to a running server',
    description: `Sends each file as a document and waits until it can be searched. Of folders it takes, all the way down, the files that end in ${readExtensions.join(' ')}, without dot files and node_modules. A document is known by the path of its file below the base folder: the next run revises what has changed and leaves the rest alone. Without the acl options everyone in the tenant may read new documents.`,
    arguments: '<path>…',
    least: 1,
    most: 1_000,
    options: {
      base: {
        type: 'string',
        value: 'folder',
        help: 'the folder that paths count from; else the current one',
      },
      wait: { type: 'boolean', help: 'wait until everything is searchable (the default)' },
      'acl-groups': { type: 'string', value: 'a,b', help: 'groups that may read the documents' },
      'acl-roles': { type: 'string', value: 'a,b', help: 'roles that may read them' },
      'acl-users': { type: 'string', value: 'a,b', help: 'ids of users or keys that may read them' },
      concurrency: {
        type: 'string',
        value: 'n',
        help: 'files under way at a time, from 1 to 16; 4 when left out',
      },
      'max-files': {
        type: 'string',
        value: 'n',
        help: 'refuse to begin with more than this; 10000 when left out',
      },
      ...clientOptions,
      ...commonOptions,
    },
    examples: [
      'gatehouse ingest docs',
      'gatehouse ingest handbook.pdf policies/ --acl-groups hr,legal',
      'gatehouse ingest /srv/wiki --base /srv --no-wait --json',
    ],
    exits: {
      1: 'a file failed, or the whole did; the end of what is shown says which and why',
      130: 'interrupted',
    },
    run: async (values, given, context) =>
      (await import('./ingest/ingest.ts')).ingest(given, values, context),
  }),
  defineCommand({
    name: 'keys create',
    summary: 'make an API key',
    description:
      'Makes a key in your tenant and shows it once. A key holds at most what yours holds. With --offline it is made without a server and without a key: the way back in when every key is lost. The server must be stopped for that, unless it runs on DATABASE_URL.',
    arguments: '',
    least: 0,
    most: 0,
    options: {
      name: { type: 'string', value: 'text', help: 'what it is for' },
      role: {
        type: 'string',
        value: 'role',
        help: 'viewer, analyst (the default), operator, admin or owner',
      },
      groups: { type: 'string', value: 'a,b', help: 'the groups that it reads documents as' },
      scopes: {
        type: 'string',
        value: 'a,b',
        help: 'permissions to narrow the role to, such as models:call,documents:*',
      },
      expires: { type: 'string', value: 'time', help: '90d, 12h, 4w, 2030-01-31 or 2030-01-31T12:00:00Z' },
      offline: { type: 'boolean', help: 'make it in the database itself, as the platform' },
      ...clientOptions,
      ...commonOptions,
    },
    examples: [
      'gatehouse keys create --name "support bot" --role analyst --groups support --expires 90d',
      'gatehouse keys create --name ci --scopes models:call --json',
      'gatehouse keys create --role owner --offline',
    ],
    run: async (values, _given, context) => (await import('./keys.ts')).createKey(values, context),
  }),
  defineCommand({
    name: 'keys list',
    summary: 'list the API keys of your tenant',
    description: 'Lists the keys with what they may do and when they were last used, newest first.',
    arguments: '',
    least: 0,
    most: 0,
    options: { ...clientOptions, ...commonOptions },
    examples: ['gatehouse keys list', 'gatehouse keys list --tenant acme --json'],
    run: async (values, _given, context) => (await import('./keys.ts')).listKeys(values, context),
  }),
  defineCommand({
    name: 'keys revoke',
    summary: 'revoke an API key',
    description: 'From then on the key is refused, within a second on every instance.',
    arguments: '<id>',
    least: 1,
    most: 1,
    options: { ...clientOptions, ...commonOptions },
    examples: ['gatehouse keys revoke q8ZkV1T5wPcB'],
    run: async (values, [id = ''], context) => (await import('./keys.ts')).revokeKey(id, values, context),
  }),
  defineCommand({
    name: 'keyring status',
    summary: 'say which keys stored secrets are sealed by',
    description:
      'Shows what wraps data keys and whether it answers, which key-encryption keys are still needed, and how many stored secrets are to be sealed anew. For a platform owner.',
    arguments: '',
    least: 0,
    most: 0,
    options: { ...clientOptions, ...commonOptions },
    examples: ['gatehouse keyring status', 'gatehouse keyring status --json'],
    exits: { 1: 'the current key does not answer' },
    run: async (values, _given, context) => (await import('./keyring.ts')).keyringStatus(values, context),
  }),
  defineCommand({
    name: 'keyring rotate',
    summary: 'make new keys for stored secrets, and seal everything by them',
    description:
      'Makes new data keys, and a new key-encryption key where Gatehouse can make one, and waits until all that is stored is sealed by them. The server goes on serving meanwhile; interrupted, the rotation goes on by itself. For a platform owner.',
    arguments: '',
    least: 0,
    most: 0,
    options: {
      what: { type: 'string', value: 'kind', help: 'all (the default), data_keys or key_encryption_key' },
      ...clientOptions,
      ...commonOptions,
    },
    examples: ['gatehouse keyring rotate', 'gatehouse keyring rotate --what data_keys'],
    exits: { 1: 'something is still to be sealed anew; it goes on by itself' },
    run: async (values, _given, context) => (await import('./keyring.ts')).rotateKeyring(values, context),
  }),
  defineCommand({
    name: 'audit verify',
    summary: 'check an export of an audit log, without a server',
    description:
      'Recomputes the tree of all entries and compares it with every signed tree head and with the seal: any entry that was changed, left out, added, moved or cut off shows. Get an export with GET /api/v1/audit-logs/export.',
    arguments: '<export>',
    least: 1,
    most: 1,
    options: {
      'trust-key': {
        type: 'string',
        value: 'id,…',
        help: 'ids of the keys that may have signed; else any, and its id is shown',
      },
      keys: {
        type: 'string',
        value: 'file',
        help: 'the keys of the log, kept elsewhere (GET /api/v1/audit-logs/keys): no other may have signed, and none after it was retired',
      },
      witness: {
        type: 'string',
        value: 'file',
        help: 'a tree head that was kept elsewhere (GET /api/v1/audit-logs/head): the export must agree with it',
      },
      ...commonOptions,
    },
    examples: [
      'gatehouse audit verify ./audit.jsonl',
      'gatehouse audit verify ./audit.jsonl --witness ./head.json --json',
    ],
    exits: { 1: 'the export does not hold' },
    run: async (values, [path = ''], context) =>
      (await import('./audit-verify.ts')).verifyAuditExport(path, values, context),
  }),
  defineCommand({
    name: 'doctor',
    summary: 'say what is wrong, and what to do about it',
    description:
      'Checks the configuration, the data directory and its disk, the database, the master key, the certificate, the port, the providers in the environment and a running server, and names a remedy for each problem. Changes nothing and shows no secret.',
    arguments: '',
    least: 0,
    most: 0,
    options: {
      online: {
        type: 'boolean',
        help: 'also ask each provider in the environment whether it accepts its key',
      },
      url: clientOptions.url,
      key: clientOptions.key,
      ca: clientOptions.ca,
      ...commonOptions,
    },
    examples: ['gatehouse doctor', 'gatehouse doctor --online --json'],
    exits: { 1: 'there is a problem' },
    run: async (values, _given, context) => (await import('./doctor/doctor.ts')).doctor(values, context),
  }),
  defineCommand({
    name: 'eval',
    summary: 'score passage retrieval on a judged set',
    description:
      'Cuts, indexes, searches and quotes the documents of a judged set with the parts that the server uses, and scores the outcome against the marked characters: recall by span, nDCG@10, MRR@10, precision of citations, each with its 95 % interval. Needs no server.',
    arguments: '',
    least: 0,
    most: 0,
    options: {
      set: { type: 'string', value: 'folder', help: 'the judged set: questions.csv and corpora/<name>.md' },
      out: { type: 'string', value: 'file', help: 'also write the scores there, as JSON' },
      ...commonOptions,
    },
    examples: [
      'gatehouse eval --set test/fixtures/judged-set',
      'gatehouse eval --set ./judged --out scores.json',
    ],
    run: async (values, _given, context) => (await import('./eval.ts')).evaluateSet(values, context),
  }),
];
