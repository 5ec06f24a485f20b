/** Headless Chromium, with the build as an installed package. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { serveSite } from '../../browser/site.ts';
import type { Peer } from './subject.ts';

const EXECUTABLE = process.env['INDELIBLE_CHROMIUM'] ?? '/usr/bin/chromium';

const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];

const IMPORTS = {
  indelible: '/node_modules/indelible/dist/client/index.js',
  'indelible/': '/node_modules/indelible/dist/',
  '#sha256': '/node_modules/indelible/dist/tree/sha256.js',
  '@noble/hashes/': '/node_modules/@noble/hashes/',
};

export function findChromium(): Peer<string> {
  const { status } = spawnSync(EXECUTABLE, ['--version', '--no-sandbox']);
  return status === 0 ? { found: EXECUTABLE } : { missing: `there is no Chromium at ${EXECUTABLE}` };
}

export interface Hashing {
  /** Bytes of a leaf. */
  readonly size: number;
  /** Of each round of each way. */
  readonly seconds: number;
  readonly pairs: number;
}

/** Entries a second of each round, by the package's lanes and by noble one by one. */
export interface Hashed {
  readonly lanes: readonly number[];
  readonly plain: readonly number[];
}

/** Hashes bundles in a page (hash-page.js). */
export async function hashInChromium(executablePath: string, options: Hashing): Promise<Hashed> {
  const map = `<script type="importmap">${JSON.stringify({ imports: IMPORTS })}</script>`;
  const pages = new Map([
    ['/index.html', `<!doctype html><meta charset="utf-8"><title>hashing</title>${map}`],
    ['/hash-page.js', readFileSync(new URL('hash-page.js', import.meta.url), 'utf8')],
    ['/favicon.ico', ''],
  ]);
  const site = await serveSite(pages, '');
  const browser = await chromium.launch({ executablePath, args: ARGS });
  try {
    const page = await browser.newPage();
    await page.goto(`${site.url}/index.html`);
    const call = `import('/hash-page.js').then(({ measure }) => measure(${JSON.stringify(options)}))`;
    return (await page.evaluate(call)) as Hashed;
  } finally {
    await browser.close();
    await site.close();
  }
}
