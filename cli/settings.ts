/** The settings of the server as options of a command, from the one table. */
import type { Command } from 'commander';
import { environmentName, SETTINGS } from '../server/config.ts';
import { hideSecrets } from '../server/secrets.ts';

/** The lines of a help text about what has no flag. */
export const FROM_ENVIRONMENT = `Each setting may stand in the configuration file too, named as its flag with _ for -, such as data_dir. A flag wins over the
environment, that over the file, that over the default.

From the environment only:
  INDELIBLE_ADMIN_KEY       an admin key that holds as long as it is set (ind_ 16 hex _ 64 hex)
  INDELIBLE_ADMIN_KEY_FILE  a file that holds it, mode 0600
  INDELIBLE_MASTER_SEED     the master seed, 64 hex digits, instead of DIR/keys/master`;

/** Adds --config and the flag of every setting. */
export function withSettings(command: Command): Command {
  command.option('--config <FILE>', 'configuration file, YAML; e.g. /etc/indelible.yaml [INDELIBLE_CONFIG]');
  for (const { flag, value, help, fallback } of Object.values(SETTINGS)) {
    const preset = fallback === undefined || fallback === '' ? '' : `, default ${fallback}`;
    command.option(`--${flag} <${value}>`, `${help} [${environmentName(flag)}${preset}]`);
  }
  // An option that does not exist is repeated with its value, and that may be the key that somebody thought to give so.
  return command.configureOutput({ outputError: (text, write) => write(`${hideSecrets(text)}\n`) });
}
