/** Every error code of docs/api.md with its status: the page is the contract, not the table in the server. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../support/spawn-server.ts';

export function documentedCodes(): ReadonlyMap<string, number> {
  const page = readFileSync(join(ROOT, 'docs/api.md'), 'utf8');
  const table = page.slice(page.indexOf('\n## Errors'));
  const codes = new Map<string, number>();
  for (const [, statuses = '', text = ''] of table.matchAll(/^\| ([0-9, ]+) \| (.+) \|$/gm)) {
    const several = statuses.split(', ').map(Number);
    const names = [...text.matchAll(/`([a-z][a-z0-9_]*)`/g)].map(([, name]) => name as string);
    // Of two statuses in a row, each has the code in its place.
    for (const [i, name] of names.entries()) codes.set(name, several[several.length > 1 ? i : 0] as number);
  }
  return codes;
}
