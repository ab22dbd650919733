import type { Entry } from './entry.ts';

/** What all instances have in common: entries, removals, and who is making which answer. */
export interface SharedLevel {
  /** Whether removals elsewhere are heard at present, so that what is held here may be served without asking. */
  readonly hearing: boolean;
  /** The entry, past its time or not, as far as nothing that it depends on was removed. Null: cannot be asked now. */
  look(tenantId: string, key: string): Promise<Look | null>;
  /** @returns `removed` when something that the entry depends on was removed since the mark; `away` when it cannot be asked. */
  write(tenantId: string, entry: Entry, mark: SharedMark): Promise<'kept' | 'removed' | 'away'>;
  /**
   * Takes the lead in making an answer.
   * @returns `taken` while another instance has it; null when it cannot be asked.
   */
  lead(tenantId: string, key: string, mark: SharedMark): Promise<Lead | 'taken' | null>;
  /** Resolves when the instance that has the lead ended it, or was heard of, or after `ms`. */
  news(tenantId: string, key: string, ms: number): Promise<void>;
  /** Tells everybody; remembered for later when that is not possible now. */
  remove(removal: Removal): Promise<Removed>;
  usage(tenantId: string): Promise<{ readonly entries: number; readonly bytes: number } | null>;
  start(): void;
  stop(): Promise<void>;
}

export interface Look {
  readonly entry: Entry | null;
  readonly mark: SharedMark;
}

/** A moment in the tenant's history of removals. */
export interface SharedMark {
  readonly generation: string;
  readonly sequence: number;
}

/** The right to make one answer, held until it is ended or this instance dies. */
export interface Lead {
  end(): Promise<void>;
}

export type Removal =
  | { readonly what: 'key'; readonly tenantId: string; readonly name: string }
  | { readonly what: 'tag'; readonly tenantId: string; readonly name: string }
  | { readonly what: 'tenant'; readonly tenantId: string };

export interface Removed {
  /** Entries that went, as far as they were seen. */
  readonly entries: number;
  /** False: Redis is away. This instance has forgotten them and tells Redis before it reads from it again. */
  readonly everywhere: boolean;
}
