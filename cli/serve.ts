/** `indelible serve`: the server. */
import { Command } from 'commander';
import { ExitError } from '../server/errors.ts';
import { type RunningServer, runServer } from '../server/process.ts';
import { readConfig } from '../server/read-config.ts';
import type { StartedServer } from '../server/start.ts';
import { FROM_ENVIRONMENT, withSettings } from './settings.ts';

export function serveCommand(): Command {
  const command = withSettings(new Command('serve').description('run the log server'));
  command.addHelpText(
    'after',
    `
${FROM_ENVIRONMENT}

SIGTERM and SIGINT drain and stop, SIGHUP reads the TLS certificate and key and the logs that are witnessed again.

Exit codes: 0 stopped by a signal, 2 usage, 70 a write or check failed, 75 data directory in use,
78 refuses to start (evidence against the data, the guard or the keys).

Examples:
  $ indelible serve --data-dir /var/lib/indelible --listen 127.0.0.1:8080 --origin-base audit.example.com
  $ indelible serve --config /etc/indelible.yaml
  $ indelible serve --witness-name witness.example.com/w1 --witness-logs peers.txt`,
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
  const { witness } = running;
  if (witness?.firstStart === true) process.stderr.write(`  witness key   ${witness.verifierKey.text}\n\n`);
  // Handlers first: whoever reads the line may send a signal at once.
  process.on('SIGTERM', running.stop);
  process.on('SIGINT', running.stop);
  // Without TLS and witness there is nothing to read again, and whoever started this by hand expects it to end with its terminal.
  process.on('SIGHUP', running.reload ?? (process.stdin.isTTY ? running.stop : () => {}));
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
