import { Secret, TOTP } from 'otpauth';
import { Authenticator } from '../harness/authenticator.ts';
import { goodPassword } from '../harness/people.ts';
import type { RunningServer } from '../harness/server.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly json: any;
}

/** Somebody with a browser, over a real socket: keeps cookies, and shows the CSRF token. */
export class Guest {
  readonly cookies = new Map<string, string>();
  private readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  async send(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const csrf = this.cookies.get('gatehouse-csrf');
    const reply = await fetch(`${this.url}${path}`, {
      method,
      redirect: 'manual',
      headers: {
        ...(this.cookies.size > 0 && {
          cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; '),
        }),
        ...(csrf !== undefined && { 'x-csrf-token': csrf }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    for (const line of reply.headers.getSetCookie()) {
      const [pair = ''] = line.split(';');
      this.cookies.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1));
    }
    const text = await reply.text();
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      json = undefined;
    }
    return { status: reply.status, headers: reply.headers, text, json };
  }

  /** The same, where it has to work. */
  async make(method: string, path: string, body?: unknown): Promise<any> {
    const { status, text, json } = await this.send(method, path, body);
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${text}`);
    return json;
  }
}

/** Somebody of the tenant `acme` who is signed in, with what some of them have. */
export interface Person {
  readonly guest: Guest;
  readonly email: string;
  readonly id: string;
}

let people = 0;

export async function person(server: RunningServer, role = 'analyst'): Promise<Person> {
  const email = `person-${++people}@acme.example`;
  const invited = await server.call(
    'POST',
    '/api/v1/users/invitations',
    { email, role },
    { 'x-tenant-id': 'acme' },
  );
  const guest = new Guest(server.url);
  const accepted = await guest.make('POST', '/api/v1/auth/invitations/accept', {
    token: invited.json.token,
    password: goodPassword,
  });
  return { guest, email, id: accepted.user_id };
}

/** Gives them one-time codes. @returns recovery codes, each good for one sign-in. */
export async function withCodes({ guest }: Person): Promise<string[]> {
  const { secret } = await guest.make('POST', '/api/v1/auth/totp', { password: goodPassword });
  const otp = new TOTP({ secret: Secret.fromBase32(secret) }).generate();
  return (await guest.make('POST', '/api/v1/auth/totp/confirm', { otp })).recovery_codes;
}

/** What a browser sends to register a passkey. */
export async function passkeyRequest({ guest }: Person, origin: string, authenticator = new Authenticator()) {
  const { ceremony, options } = await guest.make('POST', '/api/v1/auth/passkeys/options', {
    password: goodPassword,
  });
  const response = authenticator.register({ challenge: options.challenge, origin });
  return { ceremony, name: 'laptop', response };
}

export async function withPasskey(person: Person, origin: string): Promise<Authenticator> {
  const authenticator = new Authenticator();
  await person.guest.make(
    'POST',
    '/api/v1/auth/passkeys',
    await passkeyRequest(person, origin, authenticator),
  );
  return authenticator;
}
