/** Options that a monitor and an auditor share, and what they are turned into. */
import { InvalidArgumentError } from 'commander';
import type { WitnessSource } from '../../client/monitor/heads.ts';
import { baseUrl, Transport } from '../../client/transport.ts';
import type { VerifierKey } from '../../proofs/key.ts';
import type { Policy } from '../../proofs/policy.ts';
import { environmentKey, givenKey, givenPolicy } from '../options.ts';
import { printable, usage } from '../output.ts';

/** A monitor has the next look to try again, so it does not wait long in this one. Times in milliseconds. */
const RETRIES = { attempts: 3, firstDelay: 250, maxDelay: 2000 };
const TIMEOUT = 20_000;
/** A byte from time to time is no silence; without an end to it a log could hold a monitor for ever, and nothing would be told. */
const DEADLINE = 60_000;
/** A witness that hangs must not keep the look at the log itself from ending within its interval. */
const WITNESS_TIMEOUT = 8000;
const WITNESS_DEADLINE = 15_000;

export interface WatchedFlags {
  readonly vkey?: string;
  readonly key?: string;
  readonly policy?: string;
}

export interface WatchedLog {
  readonly url: string;
  readonly key: VerifierKey;
  readonly policy: Policy | undefined;
  readonly transport: Transport;
  readonly hasApiKey: boolean;
}

/** The log to watch, from the argument, or INDELIBLE_URL, and the flags. Throws CliError `usage`, ClientError `bad_argument`. */
export function watchedLog(given: string | undefined, flags: WatchedFlags): WatchedLog {
  const text = given ?? process.env['INDELIBLE_URL'] ?? '';
  if (text === '') throw usage("give the log's base URL, or set INDELIBLE_URL");
  const url = baseUrl(text);
  if (flags.vkey === undefined)
    throw usage(
      "give --vkey, the log's verifier key, from its operator: whoever asks the log for it watches whatever it likes",
    );
  const key = givenKey(flags.vkey);
  const policy = flags.policy === undefined ? undefined : policyFor(flags.policy, key);
  const apiKey = flags.key ?? environmentKey(url);
  return { url, key, policy, transport: makeTransport(url, apiKey), hasApiKey: apiKey !== undefined };
}

/** Where the witnesses of a policy are asked for what they have cosigned. */
export function witnessSources(policy: Policy | undefined): WitnessSource[] {
  return (policy?.witnesses ?? []).flatMap((witness) =>
    witness.url === undefined
      ? []
      : [
          {
            witness,
            transport: new Transport({
              url: witness.url,
              retries: { ...RETRIES, attempts: 2 },
              timeout: WITNESS_TIMEOUT,
              deadline: WITNESS_DEADLINE,
            }),
          },
        ],
  );
}

function makeTransport(url: string, key: string | undefined): Transport {
  return new Transport({ url, key, retries: RETRIES, timeout: TIMEOUT, deadline: DEADLINE });
}

function policyFor(path: string, key: VerifierKey): Policy {
  const policy = givenPolicy(path);
  if (policy.logs.length > 0 && !policy.logs.some((log) => log.key.text === key.text))
    throw usage(`${printable(path)} lists logs, and the one of --vkey is none of them`);
  return policy;
}

/** A number of seconds: a decimal of at most nine digits, from `least` on. */
export function secondsFrom(least: number): (text: string) => number {
  return (text) => {
    if (!/^(?:0|[1-9][0-9]{0,8})$/.test(text) || Number(text) < least)
      throw new InvalidArgumentError(`A whole number of seconds, at least ${least}.`);
    return Number(text);
  };
}
