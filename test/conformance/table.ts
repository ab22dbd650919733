import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** What one application had of one kind of provider: a result for each column. */
export interface Row {
  readonly endpoint: string;
  readonly client: string;
  readonly kind: string;
  /** The wire that the provider saw, or null when it was never asked. */
  wire: string | null;
  readonly cells: Map<string, string>;
}

const file = fileURLToPath(new URL('../../docs/conformance.md', import.meta.url));

const head = `# Conformance

Every dialect against every kind of provider, as the official clients see it: \`openai\` and \`@anthropic-ai/sdk\`, unmodified but for
base URL and key, against one whole server; the providers are the simulator, over real sockets, in their own wire formats. The
simulator in its turn is checked by the providers' own clients, \`@google/genai\` among them.

This file is written by the test that makes the calls (\`npm run docs:conformance\`) and the test fails when it says anything else
than what happened.

- **yes**: done, and checked: the answer has its text and usage; a tool is called, its result is sent back and answered, also by a
  model that thinks and wants back what it signed; the picture arrives; the JSON fits its schema. The ledger has, class by class,
  the tokens that the provider would bill; where the provider tells none (\`kapa\`), they are estimated and marked so.
- **422 \`field\`**: this kind of provider cannot be asked for it. The caller is told which field, before anything is sent.
- **400**, **429**: what a prompt that is too long, and a limit of the provider's that is reached, come out as; the client raises
  its own exception for it (\`BadRequestError\`, \`RateLimitError\`), with the provider's words.
- *wire*: what the provider was sent. Where it is the dialect's own, bytes pass through unchanged but for model and key. Where there
  is none, the provider was not asked: tokens are counted by an estimate of our own.
`;

/** The document as this run made it. */
export function documentOf(rows: readonly Row[]): string {
  const endpoints = [...new Set(rows.map(({ endpoint }) => endpoint))];
  return [
    head,
    ...endpoints.map((endpoint) => sectionOf(rows.filter((row) => row.endpoint === endpoint))),
  ].join('\n');
}

export function committedDocument(): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

export function writeDocument(text: string): void {
  writeFileSync(file, text);
}

function sectionOf(rows: readonly Row[]): string {
  const [first] = rows;
  if (!first) return '';
  const columns = [...first.cells.keys()];
  const lines = rows.map(({ kind, wire, cells }) => {
    const results = columns.map((column) => cells.get(column) ?? '');
    return [`\`${kind}\``, wire === null ? '' : `\`${wire}\``, ...results];
  });
  return [
    `## \`${first.endpoint}\`, by \`${first.client}\``,
    '',
    line(['kind', 'wire', ...columns]),
    line(['---', '---', ...columns.map(() => '---')]),
    ...lines.map(line),
    '',
  ].join('\n');
}

const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
