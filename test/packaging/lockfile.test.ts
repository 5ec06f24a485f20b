/**
 * What package-lock.json promises: every package is the one whose bytes were locked, and none needs a script of its own to be installed.
 * That the server runs after `npm install --ignore-scripts` is shown by test/slow/package.test.ts.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { ROOT } from '../support/spawn-server.ts';

interface Locked {
  readonly version?: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly link?: boolean;
  readonly dev?: boolean;
  readonly devOptional?: boolean;
  readonly hasInstallScript?: boolean;
}

interface Manifest {
  readonly dependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
}

const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
  lockfileVersion: number;
  packages: Record<string, Locked & Partial<Manifest>>;
};
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest;
const { '': root, ...packages } = lock.packages;
const locked = Object.entries(packages);

describe('package-lock.json', () => {
  test('is that of package.json, which names exact versions', () => {
    expect(lock.lockfileVersion).toBe(3);
    expect([root?.dependencies, root?.devDependencies]).toEqual([manifest.dependencies, manifest.devDependencies]);
    for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) {
      expect([name, version]).toEqual([name, expect.stringMatching(/^\d+\.\d+\.\d+$/)]);
      expect([name, packages[`node_modules/${name}`]?.version]).toEqual([name, version]);
    }
  });

  test('has the SHA-512 of every package, and names no place to get one from', () => {
    expect(locked.length).toBeGreaterThan(100);
    const loose = locked.filter(
      ([, { integrity, link, resolved }]) =>
        link === true || !/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? '') || resolved !== undefined,
    );
    expect(loose.map(([path]) => path)).toEqual([]);
  });

  test('has one package in use with an install script, and that one brings what the script would build', () => {
    const scripted = locked.filter(
      ([, { hasInstallScript, dev, devOptional }]) => hasInstallScript && !dev && !devOptional,
    );
    expect(scripted.map(([path]) => path)).toEqual(['node_modules/classic-level']);
    const folder = join(ROOT, 'node_modules/classic-level');
    const { scripts } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
      scripts: { install: string };
    };
    expect(scripts.install).toBe('node-gyp-build');
    const built = readdirSync(join(folder, 'prebuilds')).filter((name) => name.includes(process.arch));
    expect(built.some((name) => name.startsWith(process.platform))).toBe(true);
  });

  test('has at most twenty packages that we name ourselves', () => {
    expect(Object.keys(manifest.dependencies).length).toBeLessThanOrEqual(20);
  });
});
