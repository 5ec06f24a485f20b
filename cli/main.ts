#!/usr/bin/env node
/** The command `indelible`: finds the subcommand, and turns usage errors into exit code 2. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { appendCommand } from './append.ts';
import { fsckCommand } from './fsck.ts';
import { getCommand } from './get.ts';
import { keysCommand } from './keys.ts';
import { logsCommand } from './logs.ts';
import { EXIT_CODES, EXIT_GOOD, EXIT_USAGE } from './output.ts';
import { verifyCommand } from './verify.ts';

// Whoever reads our output may stop reading, as `head` does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT_GOOD);
  throw error;
});

const clientCommands = [appendCommand(), getCommand(), verifyCommand(), logsCommand(), keysCommand(), fsckCommand()];
// The server's modules take 0.15 s to load, more than all else: only where they are run or listed.
const serverCommands = clientCommands.some((command) => command.name() === process.argv[2])
  ? []
  : [
      (await import('./serve.ts')).serveCommand(),
      (await import('./config.ts')).configCommand(),
      (await import('./adopt.ts')).adoptCommand(),
      (await import('./witness.ts')).witnessCommand(),
      (await import('./monitor.ts')).monitorCommand(),
      (await import('./audit.ts')).auditCommand(),
    ];

const program = new Command('indelible')
  .description('an audit log whose history cannot be rewritten unnoticed')
  .version(packageVersion());
for (const command of [...serverCommands, ...clientCommands]) program.addCommand(command);
program.addHelpText(
  'after',
  `
The commands that talk to a server take --url and --key, or INDELIBLE_URL and INDELIBLE_KEY from the environment. What logs have shown
is remembered in the file INDELIBLE_STATE (default $XDG_STATE_HOME/indelible/heads.json).
${EXIT_CODES}
serve, config, adopt, witness, fsck and monitor have their own.

Example:
  $ indelible serve --data-dir ./data`,
);

overrideExit(program);
try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  // Commander has printed the help, the version or what is wrong.
  process.exitCode = error.exitCode === 0 ? EXIT_GOOD : EXIT_USAGE;
}

/** Commander would exit with 1 on usage errors. Commands added whole do not inherit this. */
function overrideExit(command: Command): void {
  command.exitOverride();
  for (const sub of command.commands) overrideExit(sub);
}

/** Of the package that this file is in, as dist/cli/main.js. */
function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
