import { writeSync } from 'node:fs';

/** Ends the output with the line `N passed, N failed, N skipped`, and names every test that was skipped. */
export default class ClosingLine {
  onRunComplete(_contexts, results) {
    const lines = [];
    for (const file of results.testResults) {
      for (const test of file.testResults) {
        if (test.status === 'pending' || test.status === 'skipped') lines.push(`SKIPPED: ${test.fullName}`);
      }
    }
    // A file that does not even load runs no test; it must count as a failure all the same.
    const broken = results.testResults.filter((file) => file.testExecError !== undefined).length;
    const skipped = results.numPendingTests + results.numTodoTests;
    lines.push(`${results.numPassedTests} passed, ${results.numFailedTests + broken} failed, ${skipped} skipped`);
    // Jest's own summary comes after the reporters; the closing line comes after that.
    process.once('exit', () => writeSync(1, `${lines.join('\n')}\n`));
  }
}
