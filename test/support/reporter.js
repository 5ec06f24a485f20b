/** Prints the closing line `N passed, N failed, N skipped`, and names every test that was skipped. */
export default class ClosingLine {
  onRunComplete(_contexts, results) {
    for (const file of results.testResults) {
      for (const test of file.testResults) {
        if (test.status === 'pending' || test.status === 'skipped') console.log(`SKIPPED: ${test.fullName}`);
      }
    }
    // A file that does not even load runs no test; it must count as a failure all the same.
    const broken = results.testResults.filter((file) => file.testExecError !== undefined).length;
    const skipped = results.numPendingTests + results.numTodoTests;
    console.log(`${results.numPassedTests} passed, ${results.numFailedTests + broken} failed, ${skipped} skipped`);
  }
}
