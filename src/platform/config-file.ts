import { readFileSync } from 'node:fs';
import { parse as parseYaml } from 'yaml';
import { invalidConfig } from './config-problems.ts';
import { examples } from './config-variables.ts';

export interface ConfigFile {
  readonly settings: Readonly<Record<string, string>>;
  /** The section as it was written, not looked at yet. */
  readonly limits?: unknown;
}

/**
 * The YAML file that `GATEHOUSE_CONFIG` names; empty where it names none.
 * @throws AppError `config_invalid` for what is no mapping, and for names that nothing reads.
 */
export function readConfigFile(path: string | undefined): ConfigFile {
  if (!path) return { settings: {} };
  let content: unknown;
  try {
    content = parseYaml(readFileSync(path, 'utf8')) ?? {};
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw invalidConfig([{ path: 'GATEHOUSE_CONFIG', message: `cannot be read as YAML: ${why}` }], cause);
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw invalidConfig([
      { path: 'GATEHOUSE_CONFIG', message: 'must hold a mapping, for example PORT: 8080' },
    ]);
  }
  const { limits, ...settings } = content as Record<string, unknown>;
  const entries = Object.entries(settings);
  const problems = entries
    .filter(([name]) => !(name in examples))
    .map(([name]) => ({ path: name, message: `in ${path} is not a setting; see docs/configuration.md` }));
  if (problems.length > 0) throw invalidConfig(problems);
  return { settings: Object.fromEntries(entries.map(([name, value]) => [name, String(value)])), limits };
}
