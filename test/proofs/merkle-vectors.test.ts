/** Trees and proofs that other implementations computed: transparency-dev/merkle and Go's sumdb/tlog. */
import { describe, expect, test } from '@jest/globals';
import { sha256 } from '#sha256';
import { proveConsistency, verifyConsistency } from '../../proofs/consistency.ts';
import { proveInclusion, verifyInclusion } from '../../proofs/inclusion.ts';
import { encodeBundle } from '../../tree/bundles.ts';
import { concatBytes, fromHex, toHex, utf8 } from '../../tree/bytes.ts';
import { appendToFrontier, type Frontier, frontierRoot } from '../../tree/frontier.ts';
import { asLeafHash, type LeafHash, leafHash, nodeHash, type TreeHash } from '../../tree/hash.ts';
import type { NodeId } from '../../tree/positions.ts';
import { bundlePath, parseTilePath, tilePath } from '../../tree/tiles.ts';

/** Every perfect subtree of a tree, level by level, and the root hashes of the sizes asked for. */
function build(leaves: readonly Uint8Array[]) {
  const levels: TreeHash[][] = [leaves.map(leafHash)];
  for (let below = levels[0] as TreeHash[]; below.length > 1; below = levels.at(-1) as TreeHash[]) {
    const level: TreeHash[] = [];
    for (let i = 0; i + 1 < below.length; i += 2) level.push(nodeHash(below[i] as TreeHash, below[i + 1] as TreeHash));
    levels.push(level);
  }
  const roots: TreeHash[] = [frontierRoot([])];
  let frontier: Frontier = [];
  for (const [i, hash] of (levels[0] as TreeHash[]).entries()) {
    frontier = appendToFrontier(frontier, i, hash);
    roots.push(frontierRoot(frontier));
  }
  const node = ({ level, index }: NodeId): TreeHash => {
    const hash = levels[level]?.[index];
    if (hash === undefined) throw new Error(`no node ${level}/${index}`);
    return hash;
  };
  const root = (size: number): TreeHash => roots[size] as TreeHash;
  const leafAt = (index: number): LeafHash => asLeafHash(node({ level: 0, index }));
  const inclusion = (leafIndex: number, treeSize: number): TreeHash[] => {
    const proof = proveInclusion({ leafIndex, treeSize }, node);
    verifyInclusion({ leafHash: leafAt(leafIndex), leafIndex, treeSize, rootHash: root(treeSize), proof });
    return proof;
  };
  const consistency = (first: number, second: number): TreeHash[] => {
    const proof = proveConsistency({ first, second }, node);
    verifyConsistency({ first, second, firstRoot: root(first), secondRoot: root(second), proof });
    return proof;
  };
  return { levels, node, root, inclusion, consistency };
}

describe('the eight-leaf tree of §14.2', () => {
  const leaves = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
  const tree = build(leaves.map(fromHex));
  const NODES: Record<string, string> = {
    L0: '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    L1: '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
    L2: '0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7',
    L3: '07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7',
    L4: 'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    L5: '4271a26be0d8a84f0bd54c8c302e7cb3a3b5d1fa6780a40bcce2873477dab658',
    L6: 'b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f',
    L7: '46f6ffadd3d06a09ff3c5860d2755c8b9819db7df44251788c7d8e3180de8eb1',
    A0: 'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
    A1: '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
    A2: '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
    A3: 'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
    B0: 'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    B1: '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
  };
  const hex = (hashes: readonly TreeHash[]) => hashes.map(toHex);
  const named = (names: string) => names.split(' ').flatMap((name) => NODES[name] ?? []);

  test('leaf hashes and node hashes', () => {
    expect(hex(tree.levels[0] as TreeHash[])).toEqual(named('L0 L1 L2 L3 L4 L5 L6 L7'));
    expect(hex(tree.levels[1] as TreeHash[])).toEqual(named('A0 A1 A2 A3'));
    expect(hex(tree.levels[2] as TreeHash[])).toEqual(named('B0 B1'));
  });

  test.each([
    [0, 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
    [1, NODES['L0']],
    [2, NODES['A0']],
    [3, 'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77'],
    [4, NODES['B0']],
    [5, '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4'],
    [6, '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef'],
    [7, 'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c'],
    [8, '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328'],
  ])('root hash of size %d', (size, root) => {
    expect(toHex(tree.root(size))).toBe(root);
  });

  test.each([
    [0, 1, ''],
    [0, 8, 'L1 A1 B1'],
    [5, 8, 'L4 A3 B0'],
    [2, 3, 'A0'],
    [1, 5, 'L0 A1 L4'],
    // The seven-leaf example of RFC 9162 §2.1.5.
    [0, 7, 'L1 A1 l'],
    [3, 7, 'L2 A0 l'],
    [4, 7, 'L5 L6 B0'],
    [6, 7, 'A2 B0'],
  ])('inclusion of leaf %d in size %d is [%s]', (leafIndex, treeSize, names) => {
    const l = toHex(nodeHash(tree.node({ level: 1, index: 2 }), tree.node({ level: 0, index: 6 })));
    const expected = names === '' ? [] : names.split(' ').map((name) => (name === 'l' ? l : NODES[name]));
    expect(hex(tree.inclusion(leafIndex, treeSize))).toEqual(expected);
  });

  test.each([
    [1, 1, ''],
    [1, 8, 'L1 A1 B1'],
    [6, 8, 'A2 A3 B0'],
    [2, 5, 'A1 L4'],
    [6, 7, 'A2 L6 B0'],
    [3, 7, 'L2 L3 A0 l'],
    [4, 7, 'l'],
  ])('consistency from %d to %d is [%s]', (first, second, names) => {
    const l = toHex(nodeHash(tree.node({ level: 1, index: 2 }), tree.node({ level: 0, index: 6 })));
    const expected = names === '' ? [] : names.split(' ').map((name) => (name === 'l' ? l : NODES[name]));
    expect(hex(tree.consistency(first, second))).toEqual(expected);
  });
});

describe('the generated tree of §14.3, 70,000 leaves', () => {
  const leaves = Array.from({ length: 70000 }, (_, i) => utf8(`leaf ${i}`));
  const tree = build(leaves);
  const digest = (bytes: Uint8Array) => toHex(sha256(bytes));

  test.each([
    [1, '1bb97dcc21635d47e2663efdfd0a174686d98dd701352dd2cd06e8b43fd3d305'],
    [2, 'fc5f6b88ff8554f75bb2f9e6f39c31b1936d44b69276edf7b1205a955b9761e3'],
    [3, 'd4f92c8fbb89720eb3b55677c7d7efaddfeb10d11a1a84a0ba8f1a23337faa95'],
    [4, '4f631084a157c54f54fcfb23ff5eb8650c4ba160c295bb13a9832b109d52677e'],
    [5, '341515982d650e23520dbd54d7fcf0afa1b70cc3a16a411d464dc9c1ac96c301'],
    [6, '8363c3821ce41ebb46222116a42cc83dba753984b23cfca26aaad0a6867336ea'],
    [7, '5a61fc2b54f9cfa71774f2432143dd40c6cb2b11947faf65a7d3da5cb65199c8'],
    [8, 'c5c2c820ed342fdda8ce896b6b9cf5b8c00a21cc4b20714cc6e5d3c05c35240b'],
    [9, '7447cadc6862b30dedcb28c4b329909366b3bd338f6a90fefadcc4b2a8a2b948'],
    [15, '7d5cf38c0b8bd4bee3ce6173f6dcf9a841a83fe2aa3ae855a450b1fd8fef64f9'],
    [16, '714a29298ca7d8643975100569499c2309e83a6f2f970902dc46ef32ebc1b00f'],
    [17, '46ef1bca4c6480cd65e50e29cc1c375db36711cd50245ecd3e6b310c6e2a383f'],
    [100, '13f88915c560dc911a1da0fb209d84a20971051f294ebeb428fb3fc293af2743'],
    [255, 'd71592a219d4067663eede247f9b54c3f9e0290682d55de09b495b07f1de41c9'],
    [256, 'cf5effdb11d0927a2edf53b0e73c7837f659414e00537da5d90eb5c4c49ff274'],
    [257, '855b936aa00cb98b5114484249ad39d78a6be93623e26c01e8e487dc02184a5a'],
    [511, 'ca6b4f3db2b4e8d03a833ca7381f1a667728338c6d1641f0e6d0b2da4ec4a934'],
    [512, 'd9579873166aa59bc8d37da864923bf63dacf0fff19ea2caba63b20cab82cd30'],
    [1000, '2ff33fb9d8f14f89ca306289633336a168ff3f4532e8f741a0019dcb4c1d60a1'],
    [65535, 'b592480df20f0dd456e39db9cdb0a1fa85f3617ec2d30cffc52760c38776f393'],
    [65536, 'e100ba54d69a91012fc13b7890feac78d6996a097268b6f735d17311c7402a60'],
    [65537, '689b22742cab2adeb36ba622ff2736336464858f5de4a2c02f33bf163e7dca5f'],
    [70000, 'da0532ff7b2ee56f4067110fc964e9f27b5959f9527bfff3fa501aa7584deaf3'],
  ])('root hash of size %d', (size, root) => {
    expect(toHex(tree.root(size))).toBe(root);
  });

  test.each([
    [7, 0, 3, '3f5e122a2a5afdc00f9ba935c245f8fa0609736b57de6b30580e6b5144bdf164'],
    [7, 3, 3, 'cf5d808a0d5e46578c92d30854d3479f0e343e94563b5fd77b516903b000ef97'],
    [7, 4, 3, 'c7324d9b83d37384e8e3cdeface54f4d15228e2643f989d4c71de35da0b8cb34'],
    [7, 6, 2, '4ac76522c75fe781fca32c5c580dba4a09fe63b1eec9b38f3a13cb42f5dc9efc'],
    [257, 256, 1, 'c8f421898ac532cb17b42cd6c862710cad20834ef186d2d55534a61d63a8539f'],
    [257, 0, 9, '7aa684d3dd0bdc4a6950ecff5ab4927805eb67271a5d70a874602886ec41d7a7'],
    [70000, 69999, 9, '528bf616aaa8713579140d862439d0347c7ef4f9d96c0804db2dfd46f6a30fdb'],
    [70000, 65535, 17, '06cd3dced6b43ff494ae9584ae314f1ed3add3b8a1c1d931a1fe743fd41dab48'],
    [70000, 12345, 17, '83d2706968cf54d0c512b32bf96dafcfd3fbead0088a76b5b06efaf1940e3f39'],
  ])('inclusion in size %d of leaf %d', (treeSize, leafIndex, length, expected) => {
    const proof = tree.inclusion(leafIndex, treeSize);
    expect([proof.length, digest(concatBytes(...proof))]).toEqual([length, expected]);
  });

  test.each([
    [3, 7, 4, '8a0eb1c046321a746b6eea244038f641c200494713f198ee63834e50e4f30485'],
    [4, 7, 1, '7b0899d3d8801bb2e4092a9d12369417d2a6e5c359a25b9104fba5094f60ee8a'],
    [6, 7, 3, '9e872263da9c279d949a22d6abb795c12a6836bb4293a09fc6c18315239a6f09'],
    [6, 8, 3, '7dbfa01a92635b34b5d6f3b9e9631b0e062cc45d0debcd2e10223e0f85a7ccba'],
    [256, 257, 1, '64f30997e393345987a4b24827a113bb2ce378dea4c9cbe41a50af98f77d6f5e'],
    [255, 257, 10, '56b7205b029ad670d636d604b75196d5b6a81616fc54c94969870ded9e6407e2'],
    [65536, 70000, 1, 'a4e3f44ca2b0b5c13a5c418a4d24e0acb72fa6f776d7f9e5c0291eab05c6cc98'],
    [65535, 70000, 18, '8d4f3dbcde91f059b362282c5687ccc41a351b521290640993de2d535fb6de10'],
    [1, 70000, 17, '119f1969e136e78eafed9986050b74338703378d2a3cc8fe848d12a17630d928'],
  ])('consistency from %d to %d', (first, second, length, expected) => {
    const proof = tree.consistency(first, second);
    expect([proof.length, digest(concatBytes(...proof))]).toEqual([length, expected]);
  });

  test.each([
    ['tile/0/000', 8192, '3658d44ebeb979b996b87ac966392dffbe9a628e34cb70bbff0ba844e74c31c6'],
    ['tile/0/273.p/112', 3584, 'a8e4ee4e4f31c2fac9bb546b9b57c22f6c92e15c11adee487d09ebc926ab3ad7'],
    ['tile/1/000', 8192, '7b8fc3b25031a7c9b1a317c9453f6f293b414e958d0e80a765be6f00930c3984'],
    ['tile/1/001.p/17', 544, 'f1b11556adcce30fcd3fca6ef542ccf6a4319ab92143fb7c8f6c8f1d2e08209e'],
    ['tile/2/000.p/1', 32, 'd84406334bc5243eb04ecd6b99e64380d67aaa2b2880a838a123e1b539927708'],
    ['tile/entries/000', 2450, 'a14c635e736c61c708522df30dabd9606ebc7bc14b9de94ead044c9530e2fac5'],
    ['tile/entries/273.p/112', 1344, 'c215abb6d6970b8c5b6f800aaa1de5eaae049fe9c81341ceba8c00b1078a649f'],
  ])('body of %s', (path, length, expected) => {
    const parsed = parseTilePath(path);
    if (parsed === undefined) throw new Error('not a path');
    const { level, index, width } = parsed.tile;
    expect(parsed.kind === 'tile' ? tilePath(parsed.tile) : bundlePath(index, width)).toBe(path);
    const first = index * 256;
    const body =
      parsed.kind === 'tile'
        ? concatBytes(...(tree.levels[level * 8] as TreeHash[]).slice(first, first + width))
        : encodeBundle(leaves.slice(first, first + width));
    expect([body.length, digest(body)]).toEqual([length, expected]);
  });
});
