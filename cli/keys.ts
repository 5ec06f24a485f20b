/** `indelible keys`: list, create and revoke API keys. */
import { Command, Option } from 'commander';
import type { KeyInfo, Scope } from '../client/admin-client.ts';
import { formatMicros } from '../proofs/time.ts';
import { openAdmin, type ServerFlags, withServerOptions } from './options.ts';
import { EXIT_CODES, note, printable, run, say, table } from './output.ts';

interface CreateFlags extends ServerFlags {
  readonly name: string;
  readonly scope: readonly Scope[];
  readonly log?: string;
}

export function keysCommand(): Command {
  return new Command('keys')
    .description('list, create and revoke API keys; needs an admin key')
    .addCommand(
      withServerOptions(new Command('list').description('all keys, revoked ones too'))
        .addHelpText(
          'after',
          `${EXIT_CODES}\n\nExample:\n  $ indelible keys list --url http://127.0.0.1:8080 --key ind_…`,
        )
        .action((flags: ServerFlags) => run(flags.json === true, () => list(flags))),
    )
    .addCommand(
      withServerOptions(
        new Command('create')
          .description('create a key. It is printed on stdout, this once: the server keeps only its hash')
          .requiredOption('--name <SOURCE>', 'source name: equal event ids of one source are one entry')
          .addOption(
            new Option('--scope <SCOPE...>', 'what it may do, one or several; admin includes the others')
              .choices(['append', 'read', 'admin'])
              .makeOptionMandatory(),
          )
          .option('--log <NAME>', 'the one log it is for (default: all)'),
      )
        .addHelpText(
          'after',
          `${EXIT_CODES}\n\nExample:\n  $ indelible keys create --name billing --scope append read --log main --url http://127.0.0.1:8080`,
        )
        .action((flags: CreateFlags) => run(flags.json === true, () => create(flags))),
    )
    .addCommand(
      withServerOptions(new Command('revoke').description('revoke a key, at once').argument('<ID>', '16 hex digits'))
        .addHelpText(
          'after',
          `${EXIT_CODES}\n\nExample:\n  $ indelible keys revoke 0123456789abcdef --url http://127.0.0.1:8080`,
        )
        .action((id: string, flags: ServerFlags) => run(flags.json === true, () => revoke(id, flags))),
    )
    .addHelpText('after', '\nExample:\n  $ indelible keys list --url http://127.0.0.1:8080 --key ind_…');
}

async function list(flags: ServerFlags): Promise<undefined> {
  const keys = await openAdmin(flags).keys();
  if (flags.json === true) say(JSON.stringify({ keys: keys.map(keyMembers) }));
  else {
    const rows = keys.map(({ id, name, scopes, log, createdAt, revokedAt }) => [
      id,
      name,
      scopes.join(' '),
      log ?? '(all)',
      formatMicros(createdAt),
      revokedAt === undefined ? '-' : formatMicros(revokedAt),
    ]);
    const head = ['ID', 'NAME', 'SCOPES', 'LOG', 'CREATED', 'REVOKED'];
    for (const line of table([head, ...rows.map((row) => row.map(printable))])) say(line);
  }
  return undefined;
}

async function create(flags: CreateFlags): Promise<undefined> {
  const { name, scope, log } = flags;
  const created = await openAdmin(flags).createKey({ name, scopes: scope, log });
  if (flags.json === true) say(JSON.stringify({ ...keyMembers(created), key: created.key }));
  else {
    note(`key ${printable(created.id)} for ${printable(created.name)}: keep it now, it is shown this once`);
    say(printable(created.key));
  }
  return undefined;
}

async function revoke(id: string, flags: ServerFlags): Promise<undefined> {
  const key = await openAdmin(flags).revokeKey(id);
  say(flags.json === true ? JSON.stringify(keyMembers(key)) : `revoked ${printable(key.id)} (${printable(key.name)})`);
  return undefined;
}

function keyMembers({ id, name, scopes, log, createdAt, revokedAt }: KeyInfo) {
  return {
    id,
    name,
    scopes,
    log: log ?? null,
    created_at: formatMicros(createdAt),
    revoked_at: revokedAt === undefined ? null : formatMicros(revokedAt),
  };
}
