/** `indelible serve`: the server. */
import { Command } from 'commander';
import { environmentName, readConfig, SETTINGS } from '../server/config.ts';
import { ExitError } from '../server/errors.ts';
import { type RunningServer, runServer } from '../server/process.ts';
import type { StartedServer } from '../server/start.ts';

export function serveCommand(): Command {
  const command = new Command('serve').description('run the log server');
  for (const { flag, value, help, fallback } of Object.values(SETTINGS)) {
    const preset = fallback === undefined ? '' : `, default ${fallback}`;
    command.option(`--${flag} <${value}>`, `${help} [${environmentName(flag)}${preset}]`);
  }
  command.addHelpText(
    'after',
    `
From the environment only:
  INDELIBLE_ADMIN_KEY    an admin key that holds as long as it is set (ind_ 16 hex _ 64 hex)
  INDELIBLE_MASTER_SEED  the master seed, 64 hex digits, instead of DIR/keys/master

Exit codes: 0 stopped by a signal, 2 usage, 70 a write or check failed, 75 data directory in use,
78 refuses to start (evidence against the data, the guard or the keys).

Example:
  $ indelible serve --data-dir /var/lib/indelible --listen 127.0.0.1:8080 --origin-base audit.example.com`,
  );
  return command.action(async (flags: Record<string, string>) => {
    process.exitCode = await serve(flags);
    // The store is closed or must not be touched any more; what is left are idle sockets.
    process.exit();
  });
}

async function serve(flags: Record<string, string>): Promise<number> {
  let running: RunningServer;
  try {
    running = await runServer(readConfig(flags, process.env), (url, started) =>
      process.stderr.write(welcome(url, started)),
    );
  } catch (error) {
    if (!(error instanceof ExitError)) throw error;
    process.stderr.write(`indelible: ${error.message}\n`);
    return error.exitCode;
  }
  // Handlers first: whoever reads the line may send a signal at once.
  process.on('SIGTERM', running.stop);
  process.on('SIGINT', running.stop);
  process.stdout.write(`listening on ${running.url}\n`);
  return running.stopped;
}

/** What a first start tells once: the key nobody can look up later, and three lines that show the whole idea. */
function welcome(url: string, { server, first }: StartedServer): string {
  const vkey = server.log('main')?.definition.verifierKey;
  const key = first?.adminKey ?? '$INDELIBLE_ADMIN_KEY';
  const shown = first?.adminKey === undefined ? 'the one in INDELIBLE_ADMIN_KEY' : `${key}   (shown this once)`;
  const base = `${url}/logs/main`;
  return `
  admin key     ${shown}
  verifier key  ${vkey}

Append an event, fetch it with its proof, verify it offline:

  curl -s ${base}/events -H "Authorization: Bearer ${key}" -H 'Content-Type: application/json' -d '{"action":"user.signed_in","actor":{"id":"alice"}}'
  curl -s ${base}/events/0 -H "Authorization: Bearer ${key}" -o event-0.json
  node dist/cli/main.js verify event-0.json --vkey '${vkey}'

`;
}
