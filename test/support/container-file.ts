/** As much of a Dockerfile and a .dockerignore as ours use; anything else throws, so that a test must be taught it first. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Instruction {
  readonly instruction: string;
  readonly rest: string;
}

export interface Stage {
  readonly image: string;
  readonly name: string | undefined;
  readonly instructions: readonly Instruction[];
}

/** The stages of a Dockerfile, comments gone and continued lines joined. */
export function parseContainerFile(text: string): Stage[] {
  const lines = text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '');
  const stages: { image: string; name: string | undefined; instructions: Instruction[] }[] = [];
  for (const line of lines) {
    const [, instruction = '', rest = ''] = /^([A-Z]+) (.*)$/.exec(line) ?? [];
    if (instruction === 'FROM') {
      const [, image = '', name] = /^(\S+)(?: AS (\S+))?$/.exec(rest) ?? [];
      stages.push({ image, name, instructions: [] });
    } else {
      const stage = stages.at(-1);
      if (stage === undefined || instruction === '') throw new Error(`cannot read: ${line}`);
      stage.instructions.push({ instruction, rest });
    }
  }
  return stages;
}

/** Whether a path of the project is left out of the build by .dockerignore: the last pattern that matches decides. */
export function ignoredBy(root: string): (path: string) => boolean {
  const patterns = readFileSync(join(root, '.dockerignore'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  for (const pattern of patterns)
    if (!/^(?:\*|!?[\w.-]+)$/.test(pattern)) throw new Error(`cannot read the pattern ${pattern}`);
  return (path) => {
    const top = path.split('/')[0] as string;
    let ignored = false;
    for (const pattern of patterns) {
      const name = pattern.replace('!', '');
      if (name === '*' || name === top) ignored = !pattern.startsWith('!');
    }
    return ignored;
  };
}
