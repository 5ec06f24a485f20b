/** `indelible witness`: a witness for other people's logs. */
import { Command } from 'commander';
import type { z } from 'zod';
import { SETTINGS } from '../server/config.ts';
import { EXIT, ExitError } from '../server/errors.ts';
import { hideSecrets } from '../server/secrets.ts';
import { type RunningWitness, runWitness } from '../server/witness/witness-process.ts';
import { note, say } from './output.ts';

interface WitnessFlags {
  readonly dataDir: string;
  readonly name?: string;
  readonly policy: string;
  readonly listen: string;
  readonly json?: true;
}

export function witnessCommand(): Command {
  return new Command('witness')
    .description("cosign the checkpoints of other people's logs (C2SP tlog-witness)")
    .requiredOption('--data-dir <DIR>', 'its directory, made on the first start; e.g. /var/lib/indelible-witness')
    .option('--name <NAME>', 'its name, for ever; needed at the first start; e.g. witness.example.com/w1')
    .requiredOption(
      '--policy <FILE>',
      'whose checkpoints it cosigns: the log lines of a trust policy; read again on SIGHUP; e.g. logs.txt',
    )
    .option('--listen <HOST:PORT>', 'address to listen on; port 0 takes a free one', '127.0.0.1:7380')
    .option('--json', 'print JSON')
    .configureOutput({ outputError: (text, write) => write(`${hideSecrets(text)}\n`) })
    .addHelpText(
      'after',
      `
The file of the logs is a C2SP tlog-policy, one line for each log and one that says that no witness is needed:
  log alice.example.com/logs/main+81907c50+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop
  quorum none

On stdout are the verifier key, for the policies of those who trust this witness, and the address when it takes requests.
The private key is made in DIR/key at the first start. Never restore DIR from a copy: docs/operations.md says why.

SIGTERM and SIGINT drain and stop.

Exit codes: 0 stopped by a signal, 1 stopped by a second one, 2 usage, 70 a write failed, 75 directory in use,
78 refuses to start (the directory is not what it was, or its key can be read by others).

Example:
  $ indelible witness --data-dir ./witness --name witness.example.com/w1 --policy logs.txt --listen 127.0.0.1:7380`,
    )
    .action(async (flags: WitnessFlags) => {
      process.exitCode = await witness(flags);
      // The directory is closed or must not be touched any more; what is left are idle sockets.
      process.exit();
    });
}

async function witness(flags: WitnessFlags): Promise<number> {
  let running: RunningWitness;
  try {
    running = await runWitness({
      dataDir: checked('--data-dir', flags.dataDir, SETTINGS.dataDir.schema),
      name: flags.name === undefined ? undefined : checked('--name', flags.name, SETTINGS.witnessName.schema),
      policy: checked('--policy', flags.policy, SETTINGS.witnessLogs.schema),
      listen: checked('--listen', flags.listen, SETTINGS.listen.schema),
    });
  } catch (error) {
    return failed(error, flags.json === true);
  }
  const { url, witness: opened } = running;
  // Handlers first: whoever reads the line may send a signal at once.
  process.on('SIGTERM', running.stop);
  process.on('SIGINT', running.stop);
  process.on('SIGHUP', running.reload);
  const { text } = opened.verifierKey;
  if (flags.json === true) say(JSON.stringify({ verifier_key: text, url, logs: opened.logs }));
  else {
    say(`verifier key ${text}`);
    say(`listening on ${url}`);
  }
  return running.stopped;
}

/** Says why it does not start, and with which exit code. */
function failed(error: unknown, json: boolean): number {
  if (!(error instanceof ExitError)) throw error;
  const { exitCode, message } = error;
  if (json) say(JSON.stringify({ ok: false, code: exitCode === EXIT.usage ? 'usage' : 'not_started', message }));
  note(`indelible: ${message}`);
  return exitCode;
}

/** The value of a flag, read as its setting is. Throws ExitError 2. */
function checked<T>(flag: string, text: string, schema: z.ZodType<T>): T {
  const parsed = schema.safeParse(text);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => issue.message).join('; ');
  throw new ExitError(EXIT.usage, `${flag}: '${hideSecrets(text)}' ${faults}`);
}
