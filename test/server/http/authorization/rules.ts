/**
 * Who may do what, said a second time and apart from the server: docs/api.md as a function. It knows neither the table of routes nor how
 * keys are kept; where it and the server part ways, one of them is wrong.
 */

export type Scope = 'append' | 'read' | 'admin';

/** What a request brings: no Authorization at all, one that proves nothing, or a key that holds. */
export type Bearer =
  | { readonly proof: 'none' }
  | { readonly proof: 'worthless' }
  | {
      readonly proof: 'key';
      readonly scopes: readonly Scope[];
      /** The one log it is for, or null for all of them. */
      readonly log: string | null;
    };

export interface LogState {
  readonly name: string;
  readonly status: 'active' | 'frozen' | 'deleted' | 'absent';
  readonly kind: 'events' | 'raw';
  readonly publicReads: boolean;
}

/** What a route asks for. */
export interface Need {
  /** `open`: nothing. `server`: the scope admin over all logs. `read*` is the column of docs/api.md: no key where reads are public. */
  readonly right: 'open' | 'server' | 'read' | 'read*' | 'append';
  /** The only kind of log that has it. */
  readonly kind?: 'events' | 'raw';
}

/** `good`: the request is heard, and what is said then is no matter of rights. */
export type Verdict = 'good' | readonly [status: number, code: string];

const UNAUTHORIZED = [401, 'unauthorized'] as const;
const FORBIDDEN = [403, 'forbidden'] as const;
/** What is not there, and what the key may not know of. */
const NOT_FOUND = [404, 'not_found'] as const;

/** For a route of one log. */
export function verdictOnLog(need: Need, log: LogState, bearer: Bearer): Verdict {
  const refusal = refusalOnLog(need, log, bearer);
  if (refusal !== undefined) return refusal;
  // From here on the bearer may know everything about the log.
  if (log.status === 'deleted') return [410, 'log_deleted'];
  if (need.kind !== undefined && need.kind !== log.kind) return [409, 'wrong_log_kind'];
  if (need.right === 'append' && log.name === '_system') return FORBIDDEN;
  if (need.right === 'append' && log.status === 'frozen') return [410, 'log_frozen'];
  return 'good';
}

function refusalOnLog({ right }: Need, log: LogState, bearer: Bearer): Verdict | undefined {
  if (bearer.proof === 'worthless') return UNAUTHORIZED;
  if (right === 'read*' && log.publicReads && log.status !== 'absent') return undefined;
  if (bearer.proof === 'none') return UNAUTHORIZED;
  if (bearer.log !== null && bearer.log !== log.name) return NOT_FOUND;
  if (log.status === 'absent') return NOT_FOUND;
  const scope = right === 'append' ? 'append' : 'read';
  return bearer.scopes.includes(scope) || bearer.scopes.includes('admin') ? undefined : FORBIDDEN;
}

/** For a route of the server. */
export function verdictOnServer({ right }: Need, bearer: Bearer): Verdict {
  if (right === 'open') return 'good';
  if (bearer.proof !== 'key') return UNAUTHORIZED;
  return bearer.scopes.includes('admin') && bearer.log === null ? 'good' : FORBIDDEN;
}
