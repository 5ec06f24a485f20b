/**
 * Jest's environment for Node, but that all tests after the first that fails are skipped, in this file and the next ones: a mutant
 * dies once. Stryker requires it, so it is no module.
 */
const { TestEnvironment } = require('jest-environment-node');

/** The mutant that a test has failed for: Stryker names the one that is active. */
let killed;
const active = () => process.env['__STRYKER_ACTIVE_MUTANT__'];

module.exports = class FirstFailure extends TestEnvironment {
  async handleTestEvent(event) {
    if (active() === undefined) return;
    if (event.name === 'test_done' && event.test.errors.length > 0) killed = active();
    if (event.name === 'test_start' && killed === active()) event.test.mode = 'skip';
  }
};
