/** Many things, some at a time. */

/** Does something with each item, at most `most` of them at once. */
export async function forEach<T>(items: Iterable<T>, most: number, work: (item: T) => Promise<void>): Promise<void> {
  // Shared: each worker takes the next one.
  const rest = items[Symbol.iterator]();
  const worker = async (): Promise<void> => {
    for (let next = rest.next(); next.done !== true; next = rest.next()) await work(next.value);
  };
  await Promise.all(Array.from({ length: most }, worker));
}
