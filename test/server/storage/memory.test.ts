import { MemoryStore } from '../../../server/storage/memory.ts';
import { storageSuite } from './suite.ts';

storageSuite('memory', async () => {
  const store = new MemoryStore();
  return { store, reopen: async () => new MemoryStore(store.rows()), destroy: async () => {} };
});
