export type { BudgetGate, CallUnderWay, OutputSizes, Spender } from './budgets/budget-gate.ts';
export { costsRoutes } from './costs.routes.ts';
export { type Charge, type Costs, createCosts, type EndedCall } from './costs.service.ts';
export { estimateTokens, estimateTokensOfBytes } from './estimate-tokens.ts';
export { createLedgerStore } from './ledger.store.ts';
export type { CallStatus, Operation } from './ledger-entry.ts';
export { nanoPerUsd, usdFromNano } from './money.ts';
export { createPriceCatalogue, type PriceCatalogue, type PricedTarget } from './price-catalogue.ts';
export { noUsage, type TokenUsage } from './usage.ts';
