import { expect, test } from '@jest/globals';
import { assemble, type Code, i32, repeatWhile, select, when } from '../../tree/wasm.ts';
import { engine } from '../support/web-assembly.ts';

/** Runs a program of two parameters on a memory of zeros; what it leaves at 0. */
function result(write: (a: Code, b: Code) => Code, a = 0, b = 0, at = 0): number {
  const module = assemble(2, ['a', 'b'], (parameters) => write(parameters.a.get, parameters.b.get));
  const { memory, run } = new engine.Instance(new engine.Module(module)).exports;
  expect(memory.buffer.byteLength).toBe(2 * 65_536);
  run(a, b);
  return new DataView(memory.buffer).getInt32(at, true);
}

test.each([0, 1, 63, 64, 127, 128, 8191, 8192, 16_383, 16_384, 131_000])('%d as a constant and as an address', (n) => {
  expect(result(() => i32.store(0, i32.const(n)))).toBe(n);
  expect(result(() => i32.store(n, i32.const(7)), 0, 0, n)).toBe(7);
});

test('operators take their operands from the left', () => {
  expect(result((a, b) => i32.store(0, i32.sub(a, b)), 9, 4)).toBe(5);
  expect(result((a, b) => i32.store(0, i32.sub(a, b, b)), 9, 4)).toBe(1);
  expect(result((a, b) => i32.store(0, i32.less(a, b)), -1, 0)).toBe(1);
  expect(result((a) => i32.store(0, i32.shl(a, 3)), 5)).toBe(40);
});

test('conditions and loops', () => {
  const larger = (a: Code, b: Code): Code => i32.store(0, select(b, a, i32.less(a, b)));
  expect([result(larger, 3, 8), result(larger, 8, 3)]).toEqual([8, 8]);
  const ifEqual = (a: Code, b: Code): Code => when(i32.equal(a, b), i32.store8(1, i32.const(1)));
  expect([result(ifEqual, 3, 3), result(ifEqual, 3, 4)]).toEqual([256, 0]);
  const product = (a: Code, b: Code): Code =>
    repeatWhile(i32.differ(i32.load(4), b), [
      i32.store(0, i32.add(i32.load(0), a)),
      i32.store(4, i32.add(i32.load(4), i32.const(1))),
    ]);
  expect(result(product, 6, 7)).toBe(42);
});
