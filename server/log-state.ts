/**
 * One log as the server holds it in memory: what it is, how far it goes, and its right edge.
 *
 * States are values. A commit makes the next one; readers that hold an older one keep seeing exactly that tree.
 */
import type { VerifierKey } from '../proofs/note.ts';
import { decodeBundle } from '../tree/bundles.ts';
import { equalBytes } from '../tree/bytes.ts';
import { frontierRoot } from '../tree/frontier.ts';
import { emptyRoot, HASH_SIZE, leafHash, type TreeHash } from '../tree/hash.ts';
import { coveringNodes, type NodeId } from '../tree/positions.ts';
import { fullTiles, hashRange, partialWidth, TILE_WIDTH } from '../tree/tiles.ts';
import { bundleKey, edgeKey, openKey, tileKey } from './storage/keys.ts';
import type { Edge } from './storage/rows.ts';
import type { Store } from './storage/store.ts';
