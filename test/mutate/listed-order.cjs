/** Jest's order of files for Stryker: as the group lists them, what kills most at least cost first. */
const { default: Sequencer } = require('@jest/test-sequencer');

const NAMES = (process.env['INDELIBLE_MUTATE_TESTS'] ?? '').split(',');

module.exports = class ListedOrder extends Sequencer {
  sort(tests) {
    const rank = ({ path }) => NAMES.findIndex((name) => path.endsWith(`/${name}.test.ts`));
    return [...tests].sort((a, b) => rank(a) - rank(b));
  }
};
