import type { Sessions } from '../sessions/sessions.service.ts';
import type { BrowserSignIn } from './browser-sign-in.ts';
import type { PasswordSignIn } from './password-sign-in.ts';
import type { People } from './people.service.ts';
import type { SecondFactors } from './second-factors.ts';
import type { SignInPolicy } from './sign-in-policy.ts';
import type { WaitingSignIns } from './waiting-sign-ins.ts';

/** What routes about people call. */
export interface PeopleParts {
  readonly people: People;
  readonly sessions: Sessions;
  readonly passwordSignIn: PasswordSignIn;
  readonly secondFactors: SecondFactors;
  readonly policy: SignInPolicy;
  readonly waitingSignIns: WaitingSignIns;
  readonly browser: BrowserSignIn;
  /** Where browsers reach this server, when it was configured. */
  readonly publicUrl: string | null;
}
