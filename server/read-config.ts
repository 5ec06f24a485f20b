/**
 * Settings from wherever they stand: a flag wins over the environment, that over the configuration file, that over the default.
 * All problems of all sources are reported at once. Secrets come from the environment or from private files only, and no message
 * repeats one.
 */
import { apiKeyId } from './access.ts';
import { type Config, environmentName, type Parsed, SETTINGS, type Setting, type SettingName } from './config.ts';
import { type FileContent, type Problem, readConfigFile } from './config-file.ts';
import { EXIT, ExitError } from './errors.ts';
import { hideSecrets, parseMasterSeed, readMasterFile, readPrivateFile } from './secrets.ts';

/** Where a value comes from. */
export interface Source {
  readonly kind: 'flag' | 'environment' | 'file' | 'default';
  /** The flag, the variable, or file and line. */
  readonly where: string;
}

/** The settings in force, and where each comes from. */
export interface Gathered {
  readonly config: Config;
  /** Path of the configuration file, if there is one. */
  readonly file: string | undefined;
  /** Text and source of each setting that has a value. */
  readonly settings: ReadonlyMap<SettingName, { readonly text: string; readonly source: Source }>;
  readonly adminKeySource: Source | undefined;
  readonly masterSeedSource: Source | undefined;
}

export type Flags = Readonly<Partial<Record<SettingName | 'config', string>>>;

/** Reads the settings. Throws ExitError 2 that lists every problem, or 78 for a key file that others can read. */
export function readConfig(flags: Flags, environment: NodeJS.ProcessEnv): Config {
  return gatherConfig(flags, environment).config;
}

/** The same, with the source of each. */
export function gatherConfig(flags: Flags, environment: NodeJS.ProcessEnv): Gathered {
  const problems: Problem[] = [];
  const path = flags.config ?? environment['INDELIBLE_CONFIG'];
  const file = readFileOf(path, problems);
  const fromFile = new Map(file.values.map((value) => [value.name, value]));
  const settings = new Map<SettingName, { readonly text: string; readonly source: Source }>();
  const values: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(SETTINGS) as [SettingName, Setting][]) {
    const { flag, fallback, schema } = setting;
    const variable = environmentName(flag);
    const inFile = fromFile.get(name);
    // Weakest first: each good one replaces the one before. A bad one is reported though a stronger one may hide it.
    const given: [text: string | undefined, source: Source, shown: string][] = [
      [fallback, { kind: 'default', where: 'default' }, `default of --${flag}`],
      [inFile?.text, { kind: 'file', where: inFile?.where ?? '' }, `${inFile?.where}: ${flag.replaceAll('-', '_')}`],
      [environment[variable], { kind: 'environment', where: variable }, variable],
      [flags[name], { kind: 'flag', where: `--${flag}` }, `--${flag}`],
    ];
    for (const [text, source, shown] of given) {
      if (text === undefined) continue;
      const parsed = schema.safeParse(text);
      if (parsed.success) {
        values[name] = parsed.data;
        settings.set(name, { text, source });
      } else {
        const faults = parsed.error.issues.map(({ message }) => message).join('; ');
        problems.push({ where: shown, message: `'${hideSecrets(text)}' ${faults}` });
      }
    }
  }
  problems.push(...pairProblems(settings), ...file.problems, ...secretProblems(environment));
  if (problems.length > 0) throw new ConfigError(problems);
  const parsed = values as unknown as Parsed;
  return { file: path, settings, ...withSecrets(parsed, settings, environment) };
}

/** Exit code 2, with the problems one by one. */
export class ConfigError extends ExitError {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(EXIT.usage, problems.map(({ where, message }) => `${where}: ${message}`).join('\n'));
    this.problems = problems;
  }
}

/** Without a file, or with one that cannot be read, the other sources are checked all the same. */
function readFileOf(path: string | undefined, problems: Problem[]): FileContent {
  if (path === undefined) return { values: [], problems: [] };
  try {
    return readConfigFile(path);
  } catch (error) {
    if (!(error instanceof ExitError)) throw error;
    problems.push({ where: 'configuration', message: error.message });
    return { values: [], problems: [] };
  }
}

/** Settings that are of no use alone, and what to say to whoever gave one of them. */
const PAIRS: readonly (readonly [SettingName, SettingName, onlyFirst: string, onlySecond: string])[] = [
  [
    'tlsCert',
    'tlsKey',
    'a certificate needs its private key: give tls-key too',
    'a private key needs its certificate: give tls-cert too',
  ],
  [
    'witnessLogs',
    'witnessName',
    'a witness needs a name: give witness-name too',
    'a witness needs logs to witness: give witness-logs too, a file of `log VKEY` lines and the line `quorum none`',
  ],
];

function pairProblems(settings: Gathered['settings']): Problem[] {
  return PAIRS.flatMap(([first, second, onlyFirst, onlySecond]) => {
    const one = settings.get(first);
    const other = settings.get(second);
    if ((one === undefined) === (other === undefined)) return [];
    return one === undefined
      ? [{ where: other?.source.where ?? '', message: onlySecond }]
      : [{ where: one.source.where, message: onlyFirst }];
  });
}

/** The values may be somebody's secrets with a typing error: they are not repeated. */
function secretProblems(environment: NodeJS.ProcessEnv): Problem[] {
  const { INDELIBLE_ADMIN_KEY: key, INDELIBLE_ADMIN_KEY_FILE: keyFile, INDELIBLE_MASTER_SEED: seed } = environment;
  const problems: Problem[] = [];
  if (key !== undefined && apiKeyId(key) === undefined)
    problems.push({ where: 'INDELIBLE_ADMIN_KEY', message: `is not ${ADMIN_KEY_FORM}` });
  if (key !== undefined && keyFile !== undefined)
    problems.push({ where: 'INDELIBLE_ADMIN_KEY_FILE', message: 'INDELIBLE_ADMIN_KEY is set too: give one of them' });
  if (seed !== undefined && !/^[0-9a-f]{64}$/.test(seed))
    problems.push({ where: 'INDELIBLE_MASTER_SEED', message: 'is not 64 lowercase hex digits' });
  return problems;
}

const ADMIN_KEY_FORM = 'of the form ind_ and 16 hex digits, _ and 64 hex digits';

function withSecrets(
  parsed: Parsed,
  settings: Gathered['settings'],
  environment: NodeJS.ProcessEnv,
): Pick<Gathered, 'config' | 'adminKeySource' | 'masterSeedSource'> {
  const variable = (where: string): Source | undefined =>
    environment[where] === undefined ? undefined : { kind: 'environment', where };
  const { INDELIBLE_ADMIN_KEY: key, INDELIBLE_ADMIN_KEY_FILE: keyFile, INDELIBLE_MASTER_SEED: seed } = environment;
  const adminKey = key ?? (keyFile === undefined ? undefined : readAdminKeyFile(keyFile));
  const masterSeed =
    seed === undefined
      ? readSeedFile(parsed.masterSeedFile, settings.get('masterSeedFile')?.source)
      : parseMasterSeed(seed, 'INDELIBLE_MASTER_SEED');
  return {
    config: { ...parsed, masterSeed, adminKey },
    adminKeySource: variable('INDELIBLE_ADMIN_KEY') ?? variable('INDELIBLE_ADMIN_KEY_FILE'),
    masterSeedSource: variable('INDELIBLE_MASTER_SEED') ?? settings.get('masterSeedFile')?.source,
  };
}

function readSeedFile(path: string | undefined, source: Source | undefined): Uint8Array | undefined {
  if (path === undefined) return undefined;
  return readable(`${source?.where}`, path, () => readMasterFile(path));
}

function readAdminKeyFile(path: string): string {
  const text = readable('INDELIBLE_ADMIN_KEY_FILE', path, () => readPrivateFile(path)).replace(/\r?\n$/, '');
  if (apiKeyId(text) === undefined)
    throw new ConfigError([
      { where: 'INDELIBLE_ADMIN_KEY_FILE', message: `${hideSecrets(path)} holds no admin key ${ADMIN_KEY_FORM}` },
    ]);
  return text;
}

/** Names the setting whose file cannot be read. */
function readable<T>(where: string, path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof ExitError) throw cause;
    const { code = 'unknown error' } = cause as NodeJS.ErrnoException;
    throw new ExitError(EXIT.usage, `${where}: cannot read ${hideSecrets(path)} (${code})`, { cause });
  }
}
