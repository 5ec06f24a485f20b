/** `indelible fsck`: derives a whole store or log again and says what differs. */
import { Command, Option } from 'commander';
import { type CheckedLog, checkTiledLog, type Difference } from '../client/check-log.ts';
import { baseUrl, Transport } from '../client/transport.ts';
import { toBase64 } from '../tree/bytes.ts';
import { environmentKey, givenKey } from './options.ts';
import { EXIT_GOOD, EXIT_WRONG, note, printable, run, Stopped, say, usage } from './output.ts';
import { startProgress } from './progress.ts';

interface FsckFlags {
  readonly dataDir?: string;
  readonly guard?: string;
  readonly masterSeedFile?: string;
  readonly url?: string;
  readonly vkey?: string;
  readonly key?: string;
  readonly origin?: string;
  readonly entriesOnly?: true;
  readonly json?: true;
}

/** Differences that are printed; all are counted. */
const MAX_LISTED = 100;

export function fsckCommand(): Command {
  const command = new Command('fsck')
    .description('check a data directory or a log over HTTP: derive everything again and say what differs')
    .option('--data-dir <DIR>', 'data directory of a server that is stopped')
    .option('--guard <FILE>', 'its guard file, if not DIR/guard')
    .option('--master-seed-file <FILE>', 'its master seed, if not DIR/keys/master')
    .addOption(
      new Option('--url <URL>', 'base URL of any C2SP tiles log, such as http://127.0.0.1:8080/logs/main').env(
        'INDELIBLE_URL',
      ),
    )
    .option('--vkey <KEY>', "the log's verifier key; without it the signature is not checked")
    .option('--origin <ORIGIN>', "origin that the checkpoint must have, if not the key's name")
    .option(
      '--key <KEY>',
      'API key, for logs that want one to read; that of the environment goes to the server of INDELIBLE_URL only',
    )
    .option(
      '--entries-only',
      'with --url: read no tiles, and compare the entries with the root hash alone, in half the time',
    )
    .option('--json', 'print the result as one JSON object')
    .addHelpText(
      'after',
      `
With --data-dir everything is derived again from the leaves: tiles, roots, every signed head, events, ids, commit records, and compared
with what is stored; the guard is compared with the database. Nothing in the directory is written. With --url all entry bundles and
tiles of a log are fetched, and compared with each other and with the checkpoint. The first ${MAX_LISTED} differences are printed, all are counted.

Exit codes: 0 nothing differs, 1 something differs, 2 usage, or the server refused the request (status 4xx), 3 the log is unreachable or
its server failed (status 5xx), 75 a server has the data directory, 78 the database cannot be opened at all.

Examples:
  $ indelible fsck --data-dir /var/lib/indelible
  $ indelible fsck --url https://log.example.com/2026 --vkey 'log.example.com/2026+1234abcd+AZ…'`,
    );
  return command.action((flags: FsckFlags) =>
    run(flags.json === true, () => {
      const isDirectory = flags.dataDir !== undefined;
      // The URL of the environment is for other commands too; one that was typed is meant.
      const isUrl = flags.url !== undefined && !(isDirectory && command.getOptionValueSource('url') === 'env');
      if (isDirectory && isUrl) throw usage('give --data-dir or --url, not both');
      if (isDirectory && flags.entriesOnly === true) throw usage('--entries-only is for --url');
      if (isDirectory) return checkDirectory(flags, flags.dataDir as string);
      if (flags.url !== undefined) return checkUrl(flags, flags.url);
      throw usage('give --data-dir or --url');
    }),
  );
}

async function checkDirectory(flags: FsckFlags, path: string): Promise<number> {
  // The server's modules take 0.15 s to load: only where they are needed.
  const [{ checkDataDirectory }, { readConfig }, { ExitError }, { faultText }] = await Promise.all([
    import('../server/fsck.ts'),
    import('../server/read-config.ts'),
    import('../server/errors.ts'),
    import('../server/check/fault.ts'),
  ]);
  const { json, guard: guardFlag, masterSeedFile } = flags;
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort();
  process.once('SIGINT', interrupt);
  let progress: ReturnType<typeof startProgress> | undefined;
  try {
    const given = {
      dataDir: path,
      ...(guardFlag === undefined ? {} : { guard: guardFlag }),
      ...(masterSeedFile === undefined ? {} : { masterSeedFile }),
    };
    const { guard, masterSeed } = readConfig(given, process.env);
    const report = await checkDataDirectory({
      path,
      ...(guard === undefined ? {} : { guardPath: guard }),
      ...(masterSeed === undefined ? {} : { masterSeed }),
      signal: interrupted.signal,
      onProgress: (done, total) => {
        progress ??= startProgress('checking', total, json === true);
        progress.update(done, done);
      },
    });
    progress?.stop();
    const { faults, notes, logs, commit } = report;
    const entries = logs.reduce((sum, { treeSize }) => sum + treeSize, 0);
    if (json === true) {
      say(
        JSON.stringify({
          ok: faults.count === 0,
          differences: faults.count,
          listed: faults.kept,
          notes,
          commit,
          logs: logs.map(({ name, treeSize, rootHash }) => ({
            name,
            tree_size: treeSize,
            root_hash: toBase64(rootHash),
          })),
        }),
      );
    } else {
      for (const line of notes) note(`note: ${printable(line)}`);
      for (const found of faults.kept.slice(0, MAX_LISTED)) say(printable(faultText(found)));
      sayRest(faults.count, Math.min(faults.kept.length, MAX_LISTED));
      say(
        faults.count === 0
          ? `nothing differs: ${logs.length} logs, ${entries} entries, commit ${commit}`
          : `${faults.count} differences in ${path}`,
      );
    }
    return faults.count === 0 ? EXIT_GOOD : EXIT_WRONG;
  } catch (error) {
    if (interrupted.signal.aborted) return 130;
    if (!(error instanceof ExitError)) throw error;
    if (json === true) say(JSON.stringify({ ok: false, message: error.message }));
    note(`indelible: ${printable(error.message)}`);
    return error.exitCode;
  } finally {
    progress?.stop();
    process.removeListener('SIGINT', interrupt);
  }
}

async function checkUrl({ vkey, key, origin, entriesOnly, json }: FsckFlags, given: string): Promise<number> {
  const verifierKey = vkey === undefined ? undefined : givenKey(vkey);
  const transport = new Transport({
    url: baseUrl(given),
    key: key ?? environmentKey(given),
    onRetry: (error, delay) => note(`${printable(error.message)}; trying again in ${(delay / 1000).toFixed(1)} s`),
  });
  let progress: ReturnType<typeof startProgress> | undefined;
  const listed: Difference[] = [];
  let checked: CheckedLog;
  try {
    checked = await checkTiledLog({
      transport,
      verifierKey,
      origin,
      entriesOnly,
      onDifference: (difference) => {
        if (listed.length < MAX_LISTED) listed.push(difference);
      },
      onProgress: (done, treeSize) => {
        progress ??= startProgress('checking', treeSize, json === true);
        progress.update(done, done);
      },
    });
  } catch (error) {
    progress?.stop();
    throw new Stopped(error, listed.map(differenceText), { listed });
  } finally {
    progress?.stop();
  }
  const { checkpoint, signed, differences, complete } = checked;
  if (json === true) {
    say(
      JSON.stringify({
        ok: differences === 0,
        differences,
        complete,
        listed,
        signature_checked: verifierKey !== undefined,
        signed,
        origin: checkpoint?.origin ?? null,
        tree_size: checkpoint?.treeSize ?? null,
        root_hash: checkpoint === undefined ? null : toBase64(checkpoint.rootHash),
      }),
    );
  } else {
    if (verifierKey === undefined)
      note('WARNING: the signature was NOT checked: without --vkey anybody could have made this checkpoint');
    for (const difference of listed) say(differenceText(difference));
    sayRest(differences, listed.length);
    if (!complete) say('too many differences: the rest of the log was not checked');
    if (differences > 0) say(`${differences} differences at ${transport.url}`);
    else if (checkpoint !== undefined)
      say(
        `nothing differs: ${checkpoint.treeSize} entries of ${printable(checkpoint.origin)} make the root hash ` +
          `${toBase64(checkpoint.rootHash)}, ${signed ? 'which is signed' : 'signature not checked'}`,
      );
  }
  return differences === 0 ? EXIT_GOOD : EXIT_WRONG;
}

function differenceText({ path, problem, message }: Difference): string {
  return printable(`${path}: ${problem}: ${message}`);
}

function sayRest(count: number, listed: number): void {
  if (count > listed) say(`… and ${count - listed} more`);
}
