import { AppError } from '../platform/errors.ts';

/**
 * Which version of the interface a request is answered in (HTTP-5). Its path, `X-API-Version` and `Accept` may each say
 * something; what they all allow is taken, and what they do not agree on is refused. Nothing said means the default.
 */
export interface Wishes {
  /** What stands in the path: `2` of `/api/v2/…`; null: the path names none. */
  readonly path: string | null;
  readonly header: string | readonly string[] | undefined;
  readonly accept: string | undefined;
}

export interface Offer {
  /** Names of the versions that are offered, oldest first: digits. */
  readonly versions: readonly string[];
  readonly byDefault: string;
}

/** A longer header says nothing that anybody needs; looking through it would be work for nothing. */
const maxAcceptLength = 4_000;

/** @throws AppError `bad_request` that names what is offered, when a wish is for something else or wishes differ. */
export function negotiate({ path, header, accept }: Wishes, { versions, byDefault }: Offer): string {
  const offered = `Offered ${versions.length === 1 ? 'is version' : 'are versions'} ${versions.join(' and ')}.`;
  const known = (version: string, where: string): string => {
    if (versions.includes(version)) return version;
    throw new AppError(
      'bad_request',
      `${where} asks for version ${shown(version)}, which there is not. ${offered}`,
    );
  };
  const byPath = path === null ? null : known(path, 'The path');
  const byHeader = header === undefined ? null : known(versionIn(header), 'X-API-Version');
  if (byPath !== null && byHeader !== null && byPath !== byHeader) {
    throw new AppError(
      'bad_request',
      `The path asks for version ${byPath} and X-API-Version for ${byHeader}. Say one of them, or the same. ${offered}`,
    );
  }
  const wished = byPath ?? byHeader;
  const accepted = acceptedVersions(accept);
  if (accepted.length === 0) return wished ?? byDefault;
  if (wished !== null) {
    if (accepted.includes(wished)) return wished;
    throw new AppError(
      'bad_request',
      `Accept asks for version ${accepted.map(shown).join(' or ')}, and the ${byPath === null ? 'header X-API-Version' : 'path'} for ${wished}. Say one of them, or the same. ${offered}`,
    );
  }
  return accepted.find((version) => versions.includes(version)) ?? known(accepted[0] ?? '', 'Accept');
}

/** `2` and `v2` are the same. */
function versionIn(header: string | readonly string[]): string {
  const text = String(header).trim();
  return /^v\d+$/.test(text) ? text.slice(1) : text;
}

/** The versions that `Accept` names as a parameter of JSON, the most wanted first; none: it does not care. */
export function acceptedVersions(accept: string | undefined): string[] {
  if (accept === undefined || accept.length > maxAcceptLength || !accept.includes('version')) return [];
  return accept
    .split(',')
    .map((range) => {
      const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
      const parameterNamed = (name: string) =>
        parameters
          .find((parameter) => parameter.startsWith(`${name}=`))
          ?.slice(name.length + 1)
          .replace(/^"(.*)"$/, '$1');
      const quality = Number(parameterNamed('q') ?? 1);
      return { type, version: parameterNamed('version'), quality: Number.isNaN(quality) ? 0 : quality };
    })
    .filter(({ type, version, quality }) => isJson(type) && version !== undefined && quality > 0)
    .sort((a, b) => b.quality - a.quality)
    .map(({ version }) => versionIn(version ?? ''));
}

/** Other types have versions of their own, as those that monitors ask for. */
function isJson(type: string): boolean {
  return type === '*/*' || type === 'application/*' || /^application\/([a-z.-]+\+)?json$/.test(type);
}

/** What a caller sent, short enough for a sentence. */
function shown(version: string): string {
  return JSON.stringify(version.slice(0, 40));
}
