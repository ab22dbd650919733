import type { Selectable } from 'kysely';
import type { PeopleTables } from '../people-tables.ts';

/** That somebody is to be sent something; its secret is made when it goes out. */
export type DueMail = Selectable<PeopleTables['mail_due']>;
