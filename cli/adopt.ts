/** `indelible adopt`: takes over a copied data directory. */
import { Command } from 'commander';
import { adoptDataDirectory } from '../server/adopt.ts';
import { ExitError } from '../server/errors.ts';
import { readConfig } from '../server/read-config.ts';

export function adoptCommand(): Command {
  return new Command('adopt')
    .description('take over a copied or restored data directory whose original will never run again')
    .requiredOption('--data-dir <DIR>', 'the copy')
    .option('--guard <FILE>', 'its guard file, if not DIR/guard')
    .option('--master-seed-file <FILE>', 'its master seed, if not DIR/keys/master')
    .option('--config <FILE>', 'configuration file, for guard and master_seed_file [INDELIBLE_CONFIG]')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
The copy is checked like at any start, the adoption is recorded in the log _system, and the guard is bound to its new file.
The original must never run again: two servers with one history and one key would sign two trees.

Example:
  $ indelible adopt --data-dir /srv/restored`,
    )
    .action(
      async (flags: { dataDir: string; guard?: string; masterSeedFile?: string; config?: string; json?: true }) => {
        const { json, ...settings } = flags;
        try {
          const { guard, masterSeed } = readConfig(settings, process.env);
          const { logs } = await adoptDataDirectory({
            path: flags.dataDir,
            ...(guard === undefined ? {} : { guardPath: guard }),
            ...(masterSeed === undefined ? {} : { masterSeed }),
          });
          if (json === true) {
            process.stdout.write(
              `${JSON.stringify({ adopted: true, logs: logs.map(({ name, treeSize }) => ({ name, tree_size: treeSize })) })}\n`,
            );
          } else {
            process.stdout.write(
              `adopted ${flags.dataDir} with ${logs.length} logs. Its original must never run again.\n`,
            );
          }
        } catch (error) {
          if (!(error instanceof ExitError)) throw error;
          process.stderr.write(`indelible: ${error.message}\n`);
          process.exitCode = error.exitCode;
        }
      },
    );
}
