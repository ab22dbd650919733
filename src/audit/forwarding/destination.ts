/** Where the log is forwarded to, as the owner described it; secrets are beside it. */
export type Destination = SyslogDestination | WebhookDestination | S3Destination;

export interface SyslogDestination {
  readonly kind: 'syslog';
  readonly host: string;
  readonly port: number;
  readonly transport: 'udp' | 'tcp' | 'tls';
  /** Certificates to trust, PEM; null: those that the system trusts. */
  readonly ca: string | null;
}

export interface WebhookDestination {
  readonly kind: 'webhook';
  readonly url: string;
}

export interface S3Destination {
  readonly kind: 's3';
  readonly bucket: string;
  readonly region: string;
  /** Null: Amazon's. */
  readonly endpoint: string | null;
  /** Where keys begin. */
  readonly prefix: string;
  readonly accessKeyId: string;
}

/** Entries of one log in their order, with the signed heads that cover them. */
export interface Batch {
  readonly tenantId: string;
  readonly firstLeaf: number;
  /** The leaf after the last one. */
  readonly nextLeaf: number;
  readonly lines: readonly BatchLine[];
}

export interface BatchLine {
  /** JSON, without a line feed. */
  readonly text: string;
  readonly at: Date;
  readonly leaf: number | null;
  /** For receivers that sort by it. */
  readonly action: string;
  readonly outcome: string;
}

/**
 * Hands a batch over. Resolves when the destination has it, as far as it can tell.
 * @throws Error whose message says why it has not, in words for the owner.
 */
export type Deliver = (batch: Batch, signal: AbortSignal) => Promise<void>;
