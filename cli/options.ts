/** Options that commands share, and the clients made from them. */
import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { AdminClient } from '../client/admin-client.ts';
import { LogClient } from '../client/log-client.ts';
import { baseUrl, type TransportOptions } from '../client/transport.ts';
import { NoteError } from '../proofs/error.ts';
import { parseVerifierKey, type VerifierKey } from '../proofs/key.ts';
import { type Policy, parsePolicy } from '../proofs/policy.ts';
import { parseDecimal } from '../tree/bytes.ts';
import { type MemoryFile, memoryFile, memoryPath } from './memory-file.ts';
import { note, printable, usage } from './output.ts';

export interface ServerFlags {
  readonly url?: string;
  readonly key?: string;
  readonly json?: true;
}

export interface LogFlags extends ServerFlags {
  readonly vkey?: string;
  readonly policy?: string;
}

/** --url (the log's), --key, --vkey, --json. */
export function withLogOptions(command: Command): Command {
  return withKeyAndJson(
    command.addOption(
      new Option('--url <URL>', "the log's base URL, such as http://127.0.0.1:8080/logs/main").env('INDELIBLE_URL'),
    ),
  )
    .option(
      '--vkey <KEY>',
      "the log's verifier key, from its operator; pinned for the URL. Without it, and without a pin, the server is asked once",
    )
    .option('--policy <FILE>', 'witnesses of which a quorum must have cosigned every head (C2SP tlog-policy)');
}

/** --url (the server's, or that of one of its logs), --key, --json. */
export function withServerOptions(command: Command): Command {
  return withKeyAndJson(
    command.addOption(
      new Option('--url <URL>', "the server's base URL, such as http://127.0.0.1:8080").env('INDELIBLE_URL'),
    ),
  );
}

function withKeyAndJson(command: Command): Command {
  return command
    .addOption(
      new Option('--key <KEY>', 'API key; better in the environment, where no process list shows it').env(
        'INDELIBLE_KEY',
      ),
    )
    .option('--json', 'print JSON');
}

/** The memory of this user, or the one that INDELIBLE_STATE names. */
export function openMemory(): MemoryFile {
  return memoryFile(memoryPath(process.env));
}

/** The client of the log at --url, remembering in the memory file. */
export async function openLog(
  flags: LogFlags,
  memory: MemoryFile,
  more: Pick<TransportOptions, 'retries'> = {},
): Promise<LogClient> {
  const url = logUrl(flags.url);
  const verifierKey = flags.vkey === undefined ? undefined : givenKey(flags.vkey).text;
  const pinned = await memory.readPin(url);
  if (verifierKey !== undefined && pinned !== undefined && pinned !== verifierKey)
    note(`the key pinned for ${url} was another one; it is replaced`);
  const policy = flags.policy === undefined ? undefined : givenPolicy(flags.policy);
  const client = new LogClient({ url, key: flags.key, verifierKey, memory, policy, onRetry, ...more });
  if (verifierKey === undefined && pinned === undefined) {
    const { text } = await client.verifierKey();
    note(`first time at ${url}: trusting and pinning the key that it shows, ${printable(text)}`);
  }
  return client;
}

export function openAdmin(flags: ServerFlags): AdminClient {
  return new AdminClient({ url: serverUrl(flags.url), key: flags.key, onRetry });
}

function onRetry(error: Error, delay: number): void {
  note(`${printable(error.message)}; trying again in ${(delay / 1000).toFixed(1)} s`);
}

/** The URL of a log, checked to be one. */
export function logUrl(url: string | undefined): string {
  const base = baseUrl(required(url));
  if (!/\/logs\/[^/]+$/.test(base))
    throw usage("--url is the log's base URL and ends in its name, such as http://127.0.0.1:8080/logs/main");
  return base;
}

/** The URL of a server; that of one of its logs is cut. */
export function serverUrl(url: string | undefined): string {
  return baseUrl(required(url)).replace(/\/logs(?:\/[^/]+)?$/, '');
}

function required(url: string | undefined): string {
  if (url === undefined || url === '') throw usage('give --url, or set INDELIBLE_URL');
  return url;
}

/** A verifier key that a person typed. */
export function givenKey(text: string): VerifierKey {
  try {
    return parseVerifierKey(text.trim());
  } catch (cause) {
    if (cause instanceof NoteError) throw usage(`--vkey is not a verifier key: ${cause.message}`, cause);
    throw cause;
  }
}

/** The policy in a file that a person named. */
export function givenPolicy(path: string): Policy {
  try {
    return parsePolicy(Uint8Array.from(readFileSync(path)));
  } catch (cause) {
    if (!(cause instanceof NoteError)) throw cause;
    throw usage(`${printable(path)}: ${cause.message}`, cause);
  }
}

/** A leaf index that a person typed. */
export function parseLeafIndex(text: string): number {
  try {
    return parseDecimal(text);
  } catch {
    throw new InvalidArgumentError('A leaf index is a number from 0.');
  }
}

/** The API key of the environment, but never for somebody else's server: some commands read other people's logs too. */
export function environmentKey(url: string): string | undefined {
  const own = process.env['INDELIBLE_URL'];
  if (own === undefined || new URL(baseUrl(own)).origin !== new URL(baseUrl(url)).origin) return undefined;
  return process.env['INDELIBLE_KEY'];
}
