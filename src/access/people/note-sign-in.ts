/** What of signing in goes to the audit log. */
export type SignInAction = 'sign_in.done' | 'sign_in.refused' | 'sign_in.second_factor_asked';

/**
 * Tells the audit log of a sign-in, which changes no table that would.
 * @param tenantId null: of nobody who is known.
 * @param details no secrets, and no addresses of people who are not users.
 */
export type NoteSignIn = (
  tenantId: string | null,
  action: SignInAction,
  userId: string | null,
  details: Readonly<Record<string, unknown>>,
) => Promise<void>;
