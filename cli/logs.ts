/** `indelible logs`: list, show and create logs. */
import { Command, Option } from 'commander';
import type { LogInfo } from '../client/replies.ts';
import { toBase64 } from '../tree/bytes.ts';
import { openAdmin, openMemory, type ServerFlags, withServerOptions } from './options.ts';
import { EXIT_CODES, note, printable, run, say, table } from './output.ts';

interface CreateFlags extends ServerFlags {
  readonly kind?: 'events' | 'raw';
  readonly publicReads?: true;
  readonly idPointer?: string;
}

export function logsCommand(): Command {
  return new Command('logs')
    .description('list, show and create logs')
    .addCommand(
      withServerOptions(new Command('list').description('all logs of the server; needs an admin key'))
        .addHelpText(
          'after',
          `${EXIT_CODES}\n\nExample:\n  $ indelible logs list --url http://127.0.0.1:8080 --key ind_…`,
        )
        .action((flags: ServerFlags) => run(flags.json === true, () => list(flags))),
    )
    .addCommand(
      withServerOptions(new Command('show').description('one log: origin, verifier key, size').argument('<NAME>'))
        .addHelpText('after', `${EXIT_CODES}\n\nExample:\n  $ indelible logs show main --url http://127.0.0.1:8080`)
        .action((name: string, flags: ServerFlags) => run(flags.json === true, () => show(name, flags))),
    )
    .addCommand(
      withServerOptions(
        new Command('create')
          .description('create a log; its verifier key is pinned. Needs an admin key')
          .argument('<NAME>', 'small letters, digits, dot, underscore and hyphen, at most 63; fixed for ever')
          .addOption(
            new Option('--kind <KIND>', 'JSON events, or raw leaves; fixed for ever').choices(['events', 'raw']),
          )
          .option('--public-reads', 'heads, proofs and tiles need no key (events always do)')
          .option('--id-pointer <POINTER>', 'JSON pointer to the id of each event, for requests that name none'),
      )
        .addHelpText(
          'after',
          `${EXIT_CODES}\n\nExample:\n  $ indelible logs create billing --public-reads --id-pointer /id --url http://127.0.0.1:8080`,
        )
        .action((name: string, flags: CreateFlags) => run(flags.json === true, () => create(name, flags))),
    )
    .addHelpText('after', '\nExample:\n  $ indelible logs list --url http://127.0.0.1:8080 --key ind_…');
}

async function list(flags: ServerFlags): Promise<undefined> {
  const logs = await openAdmin(flags).logs();
  if (flags.json === true) say(JSON.stringify({ logs: logs.map(logMembers) }));
  else {
    const rows = logs.map(({ name, kind, treeSize, verifierKey }) => [name, kind, String(treeSize), verifierKey]);
    for (const line of table([['NAME', 'KIND', 'SIZE', 'VERIFIER KEY'], ...rows.map((row) => row.map(printable))]))
      say(line);
  }
  return undefined;
}

async function show(name: string, flags: ServerFlags): Promise<undefined> {
  const admin = openAdmin(flags);
  const info = await admin.log(name);
  const pinned = await openMemory().readPin(admin.logUrl(name));
  if (pinned !== undefined && !info.verifierKeys.includes(pinned))
    note(`the server shows another verifier key than the one pinned for ${admin.logUrl(name)}: ${pinned}`);
  print(info, flags);
  return undefined;
}

async function create(name: string, flags: CreateFlags): Promise<undefined> {
  const admin = openAdmin(flags);
  const { kind, publicReads, idPointer } = flags;
  const info = await admin.createLog({ name, kind, publicReads, idPointer });
  // No later moment is better to learn the key: nobody can have put another log there yet.
  await openMemory().writePin(admin.logUrl(name), info.verifierKey);
  print(info, flags);
  return undefined;
}

function print(info: LogInfo, flags: ServerFlags): void {
  const members = logMembers(info);
  if (flags.json === true) say(JSON.stringify(members));
  else
    for (const line of table(Object.entries(members).map(([name, value]) => [name, printable(String(value))])))
      say(line);
}

function logMembers({ name, kind, origin, verifierKey, verifierKeys, treeSize, rootHash }: LogInfo) {
  return {
    name,
    kind,
    origin,
    verifier_key: verifierKey,
    verifier_keys: verifierKeys,
    tree_size: treeSize,
    root_hash: toBase64(rootHash),
  };
}
