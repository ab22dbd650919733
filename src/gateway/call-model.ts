import { refuseForeignModel, requirePermission } from '../access/index.ts';
import type { CachedReply, ModelTurn as CacheTurn } from '../cache/index.ts';
import { noUsage } from '../costs/index.ts';
import { AppError, type ErrorCode } from '../platform/errors.ts';
import { onlyTarget, type Resolution, type Routing, type Target } from '../routing/index.ts';
import { StreamBroken } from './answer-of.ts';
import { type AccountDependencies, CallAccount, type Ending, type SettledCall } from './call-account.ts';
import { choiceFacts } from './choice-facts.ts';
import type { HeldCall } from './held-call.ts';
import type { GatewayHooks } from './hooks.ts';
import type { Answer, DialectName, ModelCall, StreamSink, WholeAnswer } from './model-call.ts';
import { RecordedStream } from './recorded-stream.ts';
import { replay } from './replay.ts';
import type { ReserveCall } from './reserve-call.ts';
import type { TryTargets } from './try-targets.ts';

/** The steps of a call, in the order in which every call takes them. */
export const steps = [
  'authorise',
  'guard_input',
  'reserve',
  'look_in_cache',
  'choose_targets',
  'call',
  'guard_output',
  'settle',
  'remember',
] as const;
export type Step = (typeof steps)[number];

export interface CallModelDependencies {
  readonly routing: Pick<Routing, 'resolve' | 'targetsOf'>;
  readonly hooks: GatewayHooks;
  readonly reserveCall: ReserveCall;
  readonly tryTargets: TryTargets;
  readonly accounts: AccountDependencies;
  /** False when a call's ledger row could not be kept safe. */
  readonly canRecord: () => boolean;
  /** The event, empty line included, that ends a stream of this dialect with an error. */
  readonly describeError: (dialect: DialectName, error: AppError, correlationId: string) => string;
  /** Told of each step as a call takes it; for the test that proves that every route takes them all. */
  readonly onStep?: (step: Step, call: ModelCall) => void;
}

export interface AnsweredCall {
  readonly answer: Answer;
  /** What it came to; null when the answer came from the cache. */
  readonly settled: SettledCall | null;
}

export type CallModel = ReturnType<typeof createCallModel>;

/**
 * The one way to a model: every route that reaches one, and every answer made in process, calls this function.
 * A stream's bytes go to `sink` as they come; everything else is in what is returned.
 */
export function createCallModel(deps: CallModelDependencies) {
  const { hooks } = deps;

  async function callModel(call: ModelCall, sink: StreamSink): Promise<AnsweredCall> {
    const resolution = authorise(call);
    await guardInput(call);
    const account = new CallAccount(deps.accounts, call, resolution.route);
    const reserving = reserve(call, resolution, account);
    const held = reserving instanceof Promise ? await reserving : reserving;
    account.held = held;
    let turn: CacheTurn | null = null;
    try {
      const opened = lookInCache(call, resolution);
      turn = opened instanceof Promise ? await opened : opened;
      if (turn?.known) return await answerKnown(turn.known, call, account, sink);
      const targets = chooseTargets(call, resolution);
      const recorded = turn && call.streamed ? new RecordedStream(sink, turn) : null;
      const given = await callTargets(call, targets, account, recorded ?? sink);
      const answer = await guardOutput(call, given);
      await settle(call, account, endingOf(answer));
      if (turn === null) {
        deps.onStep?.('remember', call);
        return { answer, settled: account.settled };
      }
      const stale = isNoAnswer(answer) ? turn.stale() : null;
      if (stale) return { answer: await replay(stale, call, sink), settled: account.settled };
      remember(call, account, turn, recorded, answer);
      return { answer: told(answer, turn), settled: account.settled };
    } catch (error) {
      await settle(call, account, endingOfError(error));
      if (error instanceof StreamBroken)
        return { answer: brokenStream(call, error), settled: account.settled };
      const stale = turn && isProvidersFailure(error) ? turn.stale() : null;
      if (stale) return { answer: await replay(stale, call, sink), settled: account.settled };
      throw error;
    } finally {
      turn?.release();
      held.release();
    }
  }

  function authorise(call: ModelCall): Resolution {
    deps.onStep?.('authorise', call);
    requirePermission(call.caller.principal, call.permission);
    const { principal } = call.caller;
    const resolution = deps.routing.resolve(principal, call.model);
    refuseForeignModel(principal, call.model, () =>
      resolution.tiers.flat().map(({ provider, model }) => `${provider.name}/${model}`),
    );
    return resolution;
  }

  function guardInput(call: ModelCall): Promise<void> | undefined {
    deps.onStep?.('guard_input', call);
    return hooks.guardInput?.(call);
  }

  function reserve(
    call: ModelCall,
    resolution: Resolution,
    account: CallAccount,
  ): HeldCall | Promise<HeldCall> {
    deps.onStep?.('reserve', call);
    if (!deps.canRecord()) {
      throw new AppError(
        'overloaded',
        'Calls cannot be recorded at the moment, so none are taken. Try again later.',
        {
          retryAfterSeconds: 5,
        },
      );
    }
    return deps.reserveCall(call, resolution, account.at);
  }

  function lookInCache(call: ModelCall, resolution: Resolution) {
    deps.onStep?.('look_in_cache', call);
    return hooks.cache?.open(call, resolution) ?? null;
  }

  /** The row comes first: it is safe before the last byte leaves. */
  async function answerKnown(
    known: CachedReply,
    call: ModelCall,
    account: CallAccount,
    sink: StreamSink,
  ): Promise<AnsweredCall> {
    deps.onStep?.('settle', call);
    await account.settleCached(known.generatedBy, known.costNanoUsd);
    return { answer: await replay(known, call, sink), settled: null };
  }

  function chooseTargets(call: ModelCall, resolution: Resolution): readonly Target[] {
    deps.onStep?.('choose_targets', call);
    // Most routes have one target, and then nothing has to be found out.
    return onlyTarget(resolution) ?? deps.routing.targetsOf(resolution, choiceFacts(call));
  }

  function callTargets(call: ModelCall, targets: readonly Target[], account: CallAccount, sink: StreamSink) {
    deps.onStep?.('call', call);
    const guard = call.streamed ? (hooks.guardStream?.(call) ?? null) : null;
    return deps.tryTargets(call, targets, account, sink, guard);
  }

  function guardOutput(call: ModelCall, answer: Answer): Answer | Promise<Answer> {
    deps.onStep?.('guard_output', call);
    // A stream was guarded on its way.
    return answer.kind === 'whole' && hooks.guardOutput ? hooks.guardOutput(call, answer) : answer;
  }

  function settle(call: ModelCall, account: CallAccount, ending: Ending): Promise<void> {
    if (account.settled === null) deps.onStep?.('settle', call);
    return account.settle(ending);
  }

  /** Keeps a complete answer as it left. A refusal would be the same for those who wait: they need not wait for it in turn. */
  function remember(
    call: ModelCall,
    account: CallAccount,
    turn: CacheTurn,
    recorded: RecordedStream | null,
    answer: Answer,
  ): void {
    deps.onStep?.('remember', call);
    const reply = answer.kind === 'streamed' ? (recorded?.reply(answer) ?? null) : replyOf(answer);
    if (reply === null) {
      turn.releaseAll();
      return;
    }
    turn.keep({
      ...reply,
      usage: account.settled?.usage ?? noUsage,
      costNanoUsd: account.settled?.costNanoUsd ?? null,
      storedAtMs: deps.accounts.clock.now().getTime(),
    });
  }

  /** The stream goes on to a well-formed end that says what happened. */
  function brokenStream(call: ModelCall, error: StreamBroken): Answer {
    const { dialect, caller } = call;
    const tail = error.told ? '' : deps.describeError(dialect.name, error, caller.correlationId);
    return { kind: 'streamed', tail: Buffer.from(tail), error, generatedBy: error.generatedBy };
  }

  return callModel;
}

function replyOf(answer: WholeAnswer): Omit<CachedReply, 'usage' | 'costNanoUsd' | 'storedAtMs'> | null {
  if (answer.status !== 200) return null;
  const { contentType, headers, body, generatedBy } = answer;
  return { streamed: false, contentType, headers, body, generatedBy };
}

/** A whole answer with what its caller is told about the cache; a stream was told as it opened. */
function told(answer: Answer, turn: CacheTurn): Answer {
  return answer.kind === 'whole' ? { ...answer, headers: { ...answer.headers, ...turn.headers } } : answer;
}

/** Refusals that say nothing about the request: every provider was too busy. */
function isNoAnswer(answer: Answer): boolean {
  return answer.kind === 'whole' && (answer.status === 429 || answer.status === 408);
}

const providersFailures: readonly string[] = [
  'upstream_failed',
  'upstream_timeout',
  'upstream_rejected',
  'dependency_down',
  // Of the provider's making: our own limits speak before the cache is asked.
  'rate_limited',
  'overloaded',
] satisfies ErrorCode[];

function isProvidersFailure(error: unknown): boolean {
  return error instanceof AppError && providersFailures.includes(error.code);
}

function endingOf(answer: Answer): Ending {
  return answer.kind === 'whole' && answer.status >= 300
    ? { status: 'error', errorCode: `upstream_${answer.status}` }
    : { status: 'ok', errorCode: null };
}

function endingOfError(error: unknown): Ending {
  const errorCode = error instanceof AppError ? error.code : 'internal';
  if (errorCode === 'client_gone') return { status: 'aborted', errorCode };
  if (errorCode === 'upstream_timeout') return { status: 'timeout', errorCode };
  return { status: 'error', errorCode };
}
