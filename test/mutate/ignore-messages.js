/**
 * Stryker leaves messages alone: what an error says to a person is no behaviour, and a test that pins it would only be in the way.
 * The code of an error, its first argument, is mutated like everything else.
 */
import { declareValuePlugin, PluginKind } from '@stryker-mutator/api/plugin';

const SAYS = /^(?:\w*Error|refused?|malformed|damaged)$/;

function isMessage({ node, parent }) {
  if (node.type !== 'TemplateLiteral' && node.type !== 'StringLiteral') return false;
  if (parent?.type !== 'NewExpression' && parent?.type !== 'CallExpression') return false;
  if (!SAYS.test(parent.callee.name ?? '') || !parent.arguments.includes(node)) return false;
  return node.type === 'TemplateLiteral' || node.value.includes(' ');
}

export const strykerPlugins = [
  declareValuePlugin(PluginKind.Ignore, 'messages', {
    shouldIgnore: (path) => (isMessage(path) ? 'a message to a person' : undefined),
  }),
];
