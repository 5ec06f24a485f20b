/** `indelible get`: one event, printed only after it was proven. */
import { writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import { concatBytes, fromUtf8, utf8 } from '../tree/bytes.ts';
import { type LogFlags, openLog, openMemory, parseLeafIndex, withLogOptions } from './options.ts';
import { EXIT_CODES, run } from './output.ts';
import { provenMembers } from './proven.ts';

interface GetFlags extends LogFlags {
  readonly out?: string;
  readonly reply?: true;
}

export function getCommand(): Command {
  return withLogOptions(
    new Command('get')
      .description('print one event, byte for byte as it was submitted, after verifying it')
      .argument('<INDEX>', 'its leaf index', parseLeafIndex)
      .option('--out <FILE>', 'write to a file instead of stdout')
      .option('--reply', 'the whole answer instead, with its proof: keep it, and verify it later without the server'),
  )
    .addHelpText(
      'after',
      `
With --json: event, header, salt, leaf, and the signed head that it was proven with.
${EXIT_CODES}

Examples:
  $ indelible get 7 --url http://127.0.0.1:8080/logs/main --key ind_…
  $ indelible get 7 --reply --out event-7.json && indelible verify event-7.json`,
    )
    .action((leafIndex: number, flags: GetFlags) => run(flags.json === true, () => get(leafIndex, flags)));
}

async function get(leafIndex: number, flags: GetFlags): Promise<undefined> {
  const client = await openLog(flags, openMemory());
  const proven = await client.event(leafIndex);
  let bytes = flags.reply === true ? proven.reply : proven.event;
  if (flags.reply !== true && flags.json === true) {
    const members = JSON.stringify(provenMembers(proven, await client.verifierKey()));
    // The event is inserted as it is: a parser would lose the spelling of its numbers.
    bytes = utf8(`${members.slice(0, -1)},"event":${fromUtf8(proven.event)}}`);
  }
  const line = bytes.at(-1) === 0x0a ? bytes : concatBytes(bytes, Uint8Array.of(0x0a));
  if (flags.out === undefined) process.stdout.write(line);
  else await writeFile(flags.out, line);
  return undefined;
}
