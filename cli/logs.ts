/** `indelible logs`: list, show, create and change logs, freeze and delete them. */
import { Command, Option } from 'commander';
import type { LogInfo } from '../client/replies.ts';
import { toBase64 } from '../tree/bytes.ts';
import { openAdmin, openMemory, type ServerFlags, withServerOptions } from './options.ts';
import { EXIT_CODES, note, printable, run, say, table, usage } from './output.ts';

interface CreateFlags extends ServerFlags {
  readonly kind?: 'events' | 'raw';
  readonly publicReads?: true;
  readonly idPointer?: string;
}

interface SetFlags extends ServerFlags {
  readonly publicReads?: boolean;
  readonly idPointer?: string | false;
}

interface FinalFlags extends ServerFlags {
  readonly yes?: true;
}

export function logsCommand(): Command {
  return new Command('logs')
    .description('list, show, create and change logs, freeze and delete them')
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
    .addCommand(
      withServerOptions(
        new Command('set')
          .description('change settings of a log, in force for the next request. Needs an admin key')
          .argument('<NAME>')
          .option('--public-reads', 'heads, proofs and tiles need no key')
          .option('--no-public-reads', 'they need a key')
          .option('--id-pointer <POINTER>', 'JSON pointer to the id of each event, for requests that name none')
          .option('--no-id-pointer', 'none: requests have to name one'),
      )
        .addHelpText(
          'after',
          `${EXIT_CODES}\n\nExample:\n  $ indelible logs set billing --no-public-reads --id-pointer /eventID --url http://127.0.0.1:8080`,
        )
        .action((name: string, flags: SetFlags) => run(flags.json === true, () => set(name, flags))),
    )
    .addCommand(
      finalCommand('freeze', 'take no more entries, for ever: the log gets its last signed head')
        .addHelpText(
          'after',
          `${EXIT_CODES}\n\nExample:\n  $ indelible logs freeze old --yes --url http://127.0.0.1:8080`,
        )
        .action((name: string, flags: FinalFlags) => run(flags.json === true, () => freeze(name, flags))),
    )
    .addCommand(
      finalCommand('delete', 'remove a frozen log and all of its entries, for ever; the name is never used again')
        .addHelpText(
          'after',
          `${EXIT_CODES}\n\nExample:\n  $ indelible logs delete old --yes --url http://127.0.0.1:8080`,
        )
        .action((name: string, flags: FinalFlags) => run(flags.json === true, () => remove(name, flags))),
    )
    .addHelpText('after', '\nExample:\n  $ indelible logs list --url http://127.0.0.1:8080 --key ind_…');
}

/** A command that nobody can take back, and that therefore wants to be told twice. */
function finalCommand(name: string, description: string): Command {
  return withServerOptions(
    new Command(name)
      .description(`${description}. Needs an admin key`)
      .argument('<NAME>')
      .option('--yes', 'yes, for ever'),
  );
}

async function list(flags: ServerFlags): Promise<undefined> {
  const logs = await openAdmin(flags).logs();
  if (flags.json === true) say(JSON.stringify({ logs: logs.map(logMembers) }));
  else {
    const rows = logs.map(({ name, kind, status, treeSize, verifierKey }) => [
      name,
      kind,
      status,
      String(treeSize),
      verifierKey,
    ]);
    for (const line of table([
      ['NAME', 'KIND', 'STATUS', 'SIZE', 'VERIFIER KEY'],
      ...rows.map((row) => row.map(printable)),
    ]))
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

async function set(name: string, flags: SetFlags): Promise<undefined> {
  const { publicReads, idPointer } = flags;
  if (publicReads === undefined && idPointer === undefined)
    throw usage('nothing to change: give --public-reads or --id-pointer, or one of them with no- before it');
  const settings = { publicReads, idPointer: idPointer === false ? null : idPointer };
  print(await openAdmin(flags).changeSettings(name, settings), flags);
  return undefined;
}

async function freeze(name: string, flags: FinalFlags): Promise<undefined> {
  if (flags.yes !== true)
    throw usage(`log ${name} would take no entries any more, for ever; add --yes if that is meant`);
  print(await openAdmin(flags).freezeLog(name), flags);
  return undefined;
}

async function remove(name: string, flags: FinalFlags): Promise<undefined> {
  if (flags.yes !== true)
    throw usage(`all entries of log ${name} would be removed, for ever; add --yes if that is meant`);
  print(await openAdmin(flags).deleteLog(name), flags);
  return undefined;
}

function print(info: LogInfo, flags: ServerFlags): void {
  const members = logMembers(info);
  if (flags.json === true) say(JSON.stringify(members));
  else
    for (const line of table(Object.entries(members).map(([name, value]) => [name, printable(String(value))])))
      say(line);
}

function logMembers({ name, kind, origin, verifierKey, verifierKeys, treeSize, rootHash, status }: LogInfo) {
  return {
    name,
    kind,
    origin,
    verifier_key: verifierKey,
    verifier_keys: verifierKeys,
    tree_size: treeSize,
    root_hash: toBase64(rootHash),
    status,
  };
}
