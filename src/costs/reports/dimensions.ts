/** What costs are broken down by. */
export const dimensions = ['user', 'key', 'prompt', 'model', 'provider', 'route', 'tag'] as const;
export type Dimension = (typeof dimensions)[number];

/** A name this long is cut: an index entry has its bounds, and a caller may name a model as long as they like. */
const longestValue = 300;
const name = (column: string, longest = longestValue) => `left(${column}, ${longest})`;

/** The value of each dimension in one row of the ledger or the adjustments, as SQL. A row has any number of tags. */
const dimensionValue: { readonly [dimension in Exclude<Dimension, 'tag'>]: string } = {
  user: 'user_id::text',
  key: 'key_id',
  prompt: 'prompt_id',
  model: name('model'),
  provider: name('provider'),
  route: name('route'),
};

/** What is summed: all of it, by what reports break down by, and by what a model's budget is of. */
export type Summed = Dimension | 'all' | 'model_or_route';

/** A budget of a model holds for its calls and for those of the route of that name; a call that is both counts once. */
const modelOrRoute = `unnest(case when route is null or route = model then array[${name('model')}]
  else array[${name('model')}, ${name('route')}] end)`;

/** Null stands for rows without a tag, which so are a line of their own. */
const tagsOf = "unnest(case when tags = '{}' then array[null::text] else tags end)";

/**
 * What recommendations are computed from, by the month only: which models a route's or a prompt's calls went to, and at
 * which price they were charged. The value is a JSON array of these.
 */
export const priced = ['route_price', 'prompt_price'] as const;
export type Priced = (typeof priced)[number];
const price = `operation, ${name('provider', 100)}, ${name('model', 200)}, ${name('price_id', 200)}`;
const pricedValue: { readonly [dimension in Priced]: string } = {
  route_price: `jsonb_build_array(${name('route', 100)}, ${price})::text`,
  prompt_price: `jsonb_build_array(prompt_id, ${price})::text`,
};

/** Columns that a source needs for its dimensions. */
export const dimensionColumns =
  'user_id, key_id, prompt_id, operation, model, provider, route, tags' as const;

/**
 * @returns SQL that follows `from <rows>`: joins each row with its values of one dimension, as `about.value`.
 */
export function joinValues(dimension: Summed): string {
  if (dimension === 'all') return 'cross join lateral (select null::text as value) about';
  if (dimension === 'model_or_route') return `cross join lateral (select ${modelOrRoute} as value) about`;
  if (dimension === 'tag') return `cross join lateral (select ${tagsOf} as value) about`;
  return `cross join lateral (select ${dimensionValue[dimension]} as value) about`;
}

/** The same for all dimensions at once, as `about.dimension` and `about.value`. */
export function joinAllValues(source: 'ledger' | 'adjustments'): string {
  const single = dimensions.flatMap((dimension) =>
    dimension === 'tag' ? [] : [`('${dimension}', ${dimensionValue[dimension]})`],
  );
  const prices = priced.map((dimension) => `('${dimension}', ${pricedValue[dimension]})`);
  // Adjustments have no tokens that another price could be tried on.
  const values = ["('all', null::text)", ...single, ...(source === 'ledger' ? prices : [])].join(', ');
  return `cross join lateral (values ${values} union all select 'tag', ${tagsOf}
    union all select 'model_or_route', ${modelOrRoute}) about (dimension, value)`;
}
