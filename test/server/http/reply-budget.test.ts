import { expect, test } from '@jest/globals';
import { ReplyBudget } from '../../../server/http/reply-budget.ts';
import { settle } from '../../support/manual-clock.ts';

const MIB = 1_048_576;

test('64 MiB of replies may wait, and beyond half of it new ones should stay small', () => {
  const replies = new ReplyBudget();
  expect(replies.scarce).toBe(false);
  for (let i = 0; i < 4; i++) expect(replies.take(8 * MIB)).toBe(true);
  expect(replies.scarce).toBe(false);
  expect(replies.take(1)).toBe(true);
  expect(replies.scarce).toBe(true);
  expect(replies.take(32 * MIB)).toBe(false);
  expect(replies.take(32 * MIB - 1)).toBe(true);
  expect(replies.take(1)).toBe(false);
  replies.giveBack(33 * MIB);
  expect(replies.scarce).toBe(false);
  expect(replies.take(33 * MIB)).toBe(true);
});

test('four are made at a time, in the order in which they came; one that fails makes room as well', async () => {
  const replies = new ReplyBudget();
  const begun: number[] = [];
  const end: ((error?: Error) => void)[] = [];
  const made = Array.from({ length: 7 }, (_, i) =>
    replies.inTurn(() => {
      begun.push(i);
      return new Promise<number>((resolve, reject) => {
        end[i] = (error) => (error === undefined ? resolve(i) : reject(error));
      });
    }),
  );
  await settle();
  expect(begun).toEqual([0, 1, 2, 3]);
  end[2]?.(new Error('unreadable'));
  await expect(made[2]).rejects.toThrow('unreadable');
  await settle();
  expect(begun).toEqual([0, 1, 2, 3, 4]);
  end[0]?.();
  end[1]?.();
  await settle();
  expect(begun).toEqual([0, 1, 2, 3, 4, 5, 6]);
  for (const i of [3, 4, 5, 6]) end[i]?.();
  expect(await Promise.all(made.filter((_, i) => i !== 2))).toEqual([0, 1, 3, 4, 5, 6]);
});
