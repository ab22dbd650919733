import type { PriceCatalogue } from '../price-catalogue.ts';

/**
 * Brings the names of one model together: a dated snapshot and what it is short for, and the name that a console shows.
 * @returns a function that gives the name which all of them come to.
 */
export function createModelNames(catalogue: Pick<PriceCatalogue, 'priceOf'>, maker: 'openai' | 'anthropic') {
  const baseUrl = maker === 'openai' ? 'https://api.openai.com/v1' : 'https://api.anthropic.com/v1';
  const at = new Date(0);
  const known = new Map<string, string>();
  return (name: string): string => {
    const before = known.get(name);
    if (before !== undefined) return before;
    const plain = plainName(name);
    const price = catalogue.priceOf({ provider: { name: maker, baseUrl }, model: plain }, at);
    const inCatalogue = price && (JSON.parse(price.json) as { model: string }).model;
    const common = inCatalogue ?? plain.replace(dated, '');
    known.set(name, common);
    return common;
  };
}

const dated = /[-@](latest|\d{8}|\d{4}-\d\d-\d\d)$/;

/** `Claude Sonnet 4.5` is `claude-sonnet-4-5` to programs; a date in the name is written without dashes there. */
function plainName(name: string): string {
  const trimmed = name.trim();
  if (!trimmed.includes(' ')) return trimmed.replace(/^(models|anthropic)\//, '');
  return trimmed
    .toLowerCase()
    .replace(/(\d{4})-(\d\d)-(\d\d)$/, '$1$2$3')
    .replace(/[\s.]+/g, '-');
}
