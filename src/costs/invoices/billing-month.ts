import { Temporal } from 'temporal-polyfill';

/** A month that is asked for by an invoice: from `start` up to and without `end`. */
export interface BillingMonth {
  /** `YYYY-MM` in the tenant's time zone. */
  readonly label: string;
  readonly start: Date;
  readonly end: Date;
}

/** The month around an instant, as clocks in that zone show it. @throws RangeError when the zone is none. */
export function monthAround(timeZone: string, at: Date): BillingMonth {
  const month = Temporal.Instant.fromEpochMilliseconds(at.getTime())
    .toZonedDateTimeISO(timeZone)
    .toPlainDate()
    .toPlainYearMonth();
  const end = firstInstant(timeZone, month.add({ months: 1 }));
  return { label: month.toString(), start: firstInstant(timeZone, month), end };
}

/**
 * The month after an issued one. It begins where that one ended, so that no call is asked for twice or never when the
 * tenant's time zone is another now.
 */
export function monthAfter(
  timeZone: string,
  issued: { readonly label: string; readonly end: Date },
): BillingMonth {
  const month = Temporal.PlainYearMonth.from(issued.label).add({ months: 1 });
  return {
    label: month.toString(),
    start: issued.end,
    end: firstInstant(timeZone, month.add({ months: 1 })),
  };
}

/** Without a time of day, a date becomes its first instant there, which need not be midnight. */
function firstInstant(timeZone: string, month: Temporal.PlainYearMonth): Date {
  return new Date(month.toPlainDate({ day: 1 }).toZonedDateTime(timeZone).epochMilliseconds);
}
