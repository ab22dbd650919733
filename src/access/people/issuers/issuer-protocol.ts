import type { IssuerRow } from './issuers.store.ts';
import type { Vouched } from './vouched-person.ts';

/** What a sign-in at an issuer is bound by, from its beginning to its end. */
export interface Binding {
  readonly redirectUri: string;
  readonly state: string;
  readonly nonce: string;
  /** PKCE (RFC 7636). */
  readonly verifier: string;
}

/** One way of asking an issuer who somebody is. */
export interface IssuerProtocol {
  /** Where the browser is sent. @throws AppError when the issuer cannot be asked. */
  authorizationUrl(issuer: IssuerRow, secret: string | null, binding: Binding): Promise<URL>;
  /**
   * What the browser brought back, turned into a person.
   * @param binding with `query`: the callback's query string. @throws AppError `unauthenticated`, `upstream_failed`.
   */
  exchange(
    issuer: IssuerRow,
    secret: string | null,
    binding: Binding & { readonly query: string },
  ): Promise<Vouched>;
}
