/** `indelible keys`: list, create and revoke API keys; rotate the signing key of a log. */
import { Command, Option } from 'commander';
import type { KeyInfo, Scope } from '../client/admin-client.ts';
import { formatMicros } from '../proofs/time.ts';
import { openAdmin, type ServerFlags, withServerOptions } from './options.ts';
import { EXIT_CODES, note, printable, run, say, table } from './output.ts';

interface RotateFlags extends ServerFlags {
  readonly end?: true;
}

interface CreateFlags extends ServerFlags {
  readonly name: string;
  readonly scope: readonly Scope[];
  readonly log?: string;
}

export function keysCommand(): Command {
  return new Command('keys')
    .description('list, create and revoke API keys, and rotate the signing key of a log; needs an admin key')
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
    .addCommand(
      withServerOptions(
        new Command('rotate')
          .description('begin to sign the heads of a log with a new key, beside the old one, until --end')
          .argument('<LOG>')
          .option('--end', 'the old key signs nothing more; whoever has pinned it follows by a proof (GET rotations)'),
      )
        .addHelpText(
          'after',
          `
Before --end give the new verifier key to the witnesses, and leave clients time to see heads by both keys. A key that was stolen is not
rotated: see docs/operations.md.
${EXIT_CODES}

Examples:
  $ indelible keys rotate main --url http://127.0.0.1:8080
  $ indelible keys rotate main --end --url http://127.0.0.1:8080`,
        )
        .action((log: string, flags: RotateFlags) => run(flags.json === true, () => rotate(log, flags))),
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

async function rotate(name: string, flags: RotateFlags): Promise<undefined> {
  const admin = openAdmin(flags);
  const log = flags.end === true ? await admin.endRotation(name) : await admin.rotateKey(name);
  const { verifierKey, verifierKeys } = log;
  if (flags.json === true) say(JSON.stringify({ log: name, verifier_key: verifierKey, verifier_keys: verifierKeys }));
  else if (flags.end === true) say(`${name} is signed by ${printable(verifierKey)} alone`);
  else say(`${name} is signed by both:\n${verifierKeys.map(printable).join('\n')}`);
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
