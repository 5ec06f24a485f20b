/** `indelible config`: what the server would run with, and whether it could. */
import { Command } from 'commander';
import { apiKeyId } from '../server/access.ts';
import { systemClock } from '../server/clock.ts';
import { fileKey, SETTINGS, type SettingName, shapeOf } from '../server/config.ts';
import { readWitnessPolicies } from '../server/cosigning/policies.ts';
import { ExitError } from '../server/errors.ts';
import { certificateWarnings, loadTls } from '../server/http/tls.ts';
import { ConfigError, type Flags, type Gathered, gatherConfig, type Source } from '../server/read-config.ts';
import { hideSecrets } from '../server/secrets.ts';
import { readWitnessedLogs } from '../server/witness/witnessed-logs.ts';
import { note, say, table } from './output.ts';
import { FROM_ENVIRONMENT, withSettings } from './settings.ts';

interface ConfigFlags extends Flags {
  readonly json?: true;
}

const EXIT_CODES = `Exit codes: 0 good, 2 problems, which are all listed, 78 a key file that others can read.`;

export function configCommand(): Command {
  return new Command('config')
    .description('check or print the settings of the server, from flags, environment and configuration file')
    .addCommand(
      withSettings(new Command('check').description('say "ok", or everything that is wrong'))
        .option('--json', 'print JSON')
        .addHelpText(
          'after',
          `
${FROM_ENVIRONMENT}

Files that the settings name are read too: master seed, admin key, certificate and private key, witnessed logs. The data directory is not touched.
${EXIT_CODES}

Example:
  $ indelible config check --config /etc/indelible.yaml`,
        )
        .action((flags: ConfigFlags) => check(flags)),
    )
    .addCommand(
      withSettings(new Command('print').description('the settings in force, and where each comes from'))
        .option('--json', 'print JSON')
        .addHelpText(
          'after',
          `
${FROM_ENVIRONMENT}

Secrets are not shown: of the admin key its id, of the master seed where it comes from.
${EXIT_CODES}

Example:
  $ indelible config print --config /etc/indelible.yaml`,
        )
        .action((flags: ConfigFlags) => print(flags)),
    )
    .addHelpText('after', '\nExample:\n  $ indelible config check --config /etc/indelible.yaml');
}

function check({ json, ...flags }: ConfigFlags): void {
  withProblems(json === true, () => {
    const { config } = gatherConfig(flags, process.env);
    const tls = loadTls(config);
    readWitnessPolicies(config.witnessPolicy);
    if (config.witnessLogs !== undefined) readWitnessedLogs('witness-logs', config.witnessLogs);
    const warnings = tls === undefined ? [] : certificateWarnings(tls.certificate, systemClock.wallMicros() / 1000);
    if (json === true) say(JSON.stringify({ ok: true, warnings }));
    else {
      for (const warning of warnings) note(`warning: ${warning}`);
      say('ok');
    }
  });
}

function print({ json, ...flags }: ConfigFlags): void {
  withProblems(json === true, () => {
    const gathered = gatherConfig(flags, process.env);
    if (json === true) say(JSON.stringify(asJson(gathered)));
    else for (const line of table(asRows(gathered))) say(line);
  });
}

function withProblems(json: boolean, run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof ExitError)) throw error;
    const problems = error instanceof ConfigError ? error.problems : [{ where: null, message: error.message }];
    if (json) say(JSON.stringify({ ok: false, problems }));
    note(error.message);
    process.exitCode = error.exitCode;
  }
}

const SETTING_NAMES = Object.keys(SETTINGS) as SettingName[];

function asRows({ settings, config, adminKeySource, masterSeedSource }: Gathered): string[][] {
  const from = (source: Source | undefined): string => source?.where ?? '';
  return [
    ['setting', 'value', 'from'],
    ...SETTING_NAMES.map((name) => {
      const found = settings.get(name);
      const text = found === undefined || found.text === '' ? '-' : hideSecrets(found.text);
      return [fileKey(SETTINGS[name].flag), text, from(found?.source)];
    }),
    ['admin key', shownKey(config) ?? '-', from(adminKeySource)],
    ['master seed', '(hidden)', masterSeedSource?.where ?? 'DIR/keys/master'],
  ];
}

/** Of an admin key only what the server itself shows: its id. */
function shownKey({ adminKey }: Gathered['config']): string | undefined {
  return adminKey === undefined ? undefined : `ind_${apiKeyId(adminKey)}_(hidden)`;
}

function asJson({ file, settings, config, adminKeySource, masterSeedSource }: Gathered): Record<string, unknown> {
  const members = SETTING_NAMES.map((name) => {
    const found = settings.get(name);
    const text = found === undefined ? null : hideSecrets(found.text);
    const value = text !== null && shapeOf(SETTINGS[name]) === 'number' ? Number(text) : text;
    return [
      fileKey(SETTINGS[name].flag),
      { value, source: found?.source.kind ?? null, from: found?.source.where ?? null },
    ];
  });
  const secret = (source: Source | undefined): object => ({
    source: source?.kind ?? null,
    from: source?.where ?? null,
  });
  return {
    config_file: file ?? null,
    settings: Object.fromEntries(members),
    admin_key: config.adminKey === undefined ? null : { id: apiKeyId(config.adminKey), ...secret(adminKeySource) },
    master_seed: secret(masterSeedSource ?? { kind: 'default', where: 'DIR/keys/master' }),
  };
}
