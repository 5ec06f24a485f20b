#!/usr/bin/env python3
"""Verifies replies of an Indelible events log by docs/format.md, with the Python standard library only.

example:
  curl -s http://127.0.0.1:8080/logs/main/events/7 > reply.json
  verify.py --vkey 'example.com/logs/main+81907c50+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop' reply.json
exit codes: 0 good, 1 proof or tree is wrong, 2 usage, 3 unreachable"""
import argparse, base64, datetime, functools, hashlib, http.client, itertools, json, re, sys, urllib.request

NAME = r"([^\s+\x00-\x1f]+)"  # \s is White_Space here, as these are texts and not bytes
MAX, P, L = 2**53 - 1, 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D, ROOT_M1 = -121665 * pow(121666, P - 2, P) % P, pow(2, (P - 1) // 4, P)

class Bad(Exception):
    pass

def need(ok, reason):
    if not ok:
        raise Bad(reason)

def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()

def unb64(text, what, sizes=None):
    try:  # the decoder is lenient, so its result is encoded again
        data = base64.b64decode(text, validate=True)
    except (TypeError, ValueError):
        data = b""
    need(base64.b64encode(data).decode() == text, what + " is missing or not canonical base64")
    need(sizes is None or len(data) in sizes, "%s has %d bytes" % (what, len(data)))
    return data

def parse(data, what):
    try:  # int() raises for NaN and Infinity, which are not JSON; odd integers stay text, long ones are slow to read
        value = json.loads(data.decode(), parse_constant=int,
                           parse_int=lambda text: int(text) if text.isdigit() and len(text) < 17 else text)
    except (ValueError, RecursionError):
        raise Bad(what + " is not JSON in UTF-8, or nested too deeply")
    need(isinstance(value, dict), what + " is not a JSON object")
    return value

def number(reply, what):
    need(type(reply.get(what)) is int and reply[what] <= MAX, what + " is not an integer from 0 to 2^53 - 1")
    return reply[what]

def micros(text):
    try:
        time = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")
    except (TypeError, ValueError):
        raise Bad("received_at is not a valid time")
    value = (time - datetime.datetime(1970, 1, 1)) // datetime.timedelta(microseconds=1)
    need(0 <= value <= MAX and time.isoformat(timespec="microseconds") + "Z" == text, "received_at is not a valid time")
    return value

def climb(leaf_hash, m, n, proof):
    if n == 1:
        return leaf_hash
    need(proof, "the inclusion proof is too short")
    s, k = proof.pop(), 1 << (n - 1).bit_length() - 1
    return sha(b"\1", *((climb(leaf_hash, m, k, proof), s) if m < k else (s, climb(leaf_hash, m - k, n - k, proof))))

def add(a, b):  # points are (X, Y, Z, T): x = X/Z, y = Y/Z, xy = T/Z; holds for equal points too
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * D * a[3] * b[3] % P, 2 * a[2] * b[2] % P
    return (f - e) * (h - g) % P, (h + g) * (f + e) % P, (h - g) * (h + g) % P, (f - e) * (f + e) % P

def point(data):
    y, sign = int.from_bytes(data, "little") & (1 << 255) - 1, data[31] >> 7
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * v**3 * pow(u * v**7, (P - 5) // 8, P) % P
    x = x if v * x * x % P == u else x * ROOT_M1 % P
    need(y < P and v * x * x % P == u and (x or not sign), "the public key is not the encoding of a point")
    x = x if x & 1 == sign else P - x
    return x, y, 1, x * y % P

BASE = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))

class Log:
    def __init__(self, vkey):
        match = re.fullmatch(NAME + r"\+([0-9a-f]{8})\+(.*)", vkey)
        need(match and len(match[1].encode()) < 256, "the verifier key is not name+key ID+base64")
        self.name, key = match[1], unb64(match[3], "the verifier key", [33])
        self.id, self.public = sha(self.name.encode(), b"\n", key)[:4], key[1:]
        need(key[0] == 1 and self.id.hex() == match[2], "the verifier key has a wrong algorithm byte or key ID")
        x, y, z, t = eight = point(self.public)
        for _ in range(3):
            eight = add(eight, eight)
        need(eight[0] or eight[1] != eight[2], "the public key has small order")
        self.table = (0, 1, 1, 0), BASE, (-x, y, z, -t), add(BASE, (-x, y, z, -t))

    def signed(self, text, signature):
        s, r = int.from_bytes(signature[32:], "little"), (0, 1, 1, 0)
        k = int.from_bytes(hashlib.sha512(signature[:32] + self.public + text).digest(), "little") % L
        for bit in range(252, -1, -1):  # S·B - k·A, both at once
            r = add(add(r, r), self.table[(s >> bit & 1) + 2 * (k >> bit & 1)])
        x, y = (c * pow(r[2], P - 2, P) % P for c in r[:2])
        return len(signature) == 64 and s < L and (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]

    @functools.lru_cache(maxsize=1024)  # many replies share a checkpoint, and its signature is the slow part
    def open(self, note):
        need(not re.search("[\x00-\x09\x0b-\x1f\ud800-\udfff]", note), "checkpoint has a control character or no UTF-8")
        end, mine = note.rfind("\n\n"), []
        need(end >= 0 and note[-1] == "\n" and note[end + 2:], "checkpoint has no signature line, or no LF at its end")
        for line in note[end + 2:-1].split("\n"):
            match = re.fullmatch("\u2014 " + NAME + " ([^ ]+)", line)
            need(match, "checkpoint has a malformed signature line")
            data = unb64(match[2], "the base64 of a signature line", range(5, MAX))
            mine += [data[4:]] if match[1] == self.name and data[:4] == self.id else []
        need(mine and self.signed(note[:end + 1].encode(), mine[0]), "checkpoint has no valid signature of this key")
        lines = note[:end].split("\n")
        need(len(lines) > 2 and "" not in lines, "checkpoint has an empty line or fewer than three")
        need(lines[0] == self.name, "the origin of checkpoint is not the name of the key")
        need(re.fullmatch("0|[1-9][0-9]{0,15}", lines[1]) and int(lines[1]) <= MAX, "checkpoint has no valid tree size")
        size, root = int(lines[1]), unb64(lines[2], "the root hash", [32])
        need(size or root == sha(), "checkpoint has a wrong root hash for size 0")
        return size, root

    def entry(self, reply, event=None, posted=False):
        index, time = number(reply, "leaf_index"), micros(reply.get("received_at"))
        need(isinstance(reply.get("event", {}), dict), "event is not a JSON object")
        event = unb64(reply.get("event_base64"), "event_base64") if event is None else event
        header = unb64(reply.get("header_base64"), "header_base64", range(1025))
        for data, what in (event, "the event"), (header, "the header"):
            need(data[:1] + data[-1:] == b"{}", what + " does not go from brace to brace")
            parse(data, what)
        salt = unb64(reply.get("salt"), "salt", [32])
        commitment = sha(b"\2", sha(self.name.encode()), salt, len(header).to_bytes(2, "big"), header, event)
        leaf = b"\1" + time.to_bytes(8, "big") + commitment
        need(posted or unb64(reply.get("leaf"), "leaf", [41]) == leaf, "leaf is not the one computed")
        need(unb64(reply.get("leaf_hash"), "leaf_hash", [32]) == sha(b"\0", leaf), "leaf_hash is not the one computed")
        return index, sha(b"\0", leaf), time

    def reply(self, data, own):
        reply = parse(data, "the reply")
        need(isinstance(reply.get("checkpoint"), str), "checkpoint is missing or not a string")
        size, root = self.open(reply["checkpoint"])
        need(number(reply, "tree_size") == size, "tree_size is not that of checkpoint")
        posted = own is not None and reply.get("ack") in ("signed", "witnessed")
        entries = reply.get("entries") if posted else [reply]
        need(type(entries) is list and len(entries) == 1 and type(entries[0]) is dict, "the reply has not one entry")
        index, leaf_hash, _ = self.entry(entries[0], own, posted)
        proof = entries[0].get("proof")
        need(type(proof) is list and len(proof) < 54, "proof is not a list of at most 53 hashes")
        proof = [unb64(text, "a hash of proof", [32]) for text in proof]
        need(index < size, "leaf_index is not below the tree size")
        need(climb(leaf_hash, index, size, proof) == root and not proof, "the inclusion proof is wrong")
        return "ok leaf %d of %d in %s, received %s" % (index, size, self.name, entries[0]["received_at"])

    def all(self, fetch):
        size, root = self.open(fetch("/checkpoint").read().decode("utf-8", "surrogateescape"))
        nodes, last = [], 0
        while (first := len(nodes)) < size:
            for line in itertools.islice(fetch("/events?from=%d&limit=1000" % first), size - first):  # not newer ones
                if not line.endswith(b"\n"):
                    raise OSError("the answer breaks off in leaf %d" % len(nodes))
                reply = parse(line, "the line of leaf %d" % len(nodes))
                index, leaf_hash, time = self.entry(reply)
                need(index == len(nodes), "the server left out leaf %d" % len(nodes))
                need(time >= last, "leaf %d was received before the leaf before it" % index)
                nodes.append(leaf_hash)
                last = time
            need(len(nodes) > first, "the server left out leaf %d" % first)
        while len(nodes) > 1:  # one without a partner moves up as it is: that is what split(n) comes to
            nodes = [sha(b"\1", *nodes[i:i + 2]) if nodes[i + 1:i + 2] else nodes[i] for i in range(0, len(nodes), 2)]
        need((nodes or [sha()])[0] == root, "the root hash of the events is not the signed one")
        return "ok all %d leaves of %s" % (size, self.name)

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vkey", required=True, help="the log's verifier key, got over a channel that you trust")
    parser.add_argument("--event", metavar="FILE", help="your own event; the reply may be that of its POST ?ack=signed")
    parser.add_argument("--url", default="", help="base URL of the log, such as http://127.0.0.1:8080/logs/main")
    parser.add_argument("--key", help="API key for --url")
    parser.add_argument("--all", action="store_true", help="fetch all events of --url and rebuild the root hash")
    parser.add_argument("replies", nargs="*", metavar="reply.json", help="saved reply of GET events/<index>, or -")
    args = parser.parse_args()
    one = args.event is None or len(args.replies) == 1
    if not one or args.all == bool(args.replies) or args.all != args.url.startswith(("http://", "https://")):
        parser.error("give either reply files (with --event exactly one), or --all and --url (http or https)")
    try:
        log, own = Log(args.vkey), None if args.event is None else open(args.event, "rb").read().strip(b" \t\n\r")
        replies = [(name, open(0 if name == "-" else name, "rb").read()) for name in args.replies]
    except (Bad, OSError, ValueError) as error:
        parser.exit(2, "verify.py: %s\n" % error)
    def fetch(path):
        request = urllib.request.Request(args.url.rstrip("/") + path)
        if args.key:  # the key is for this server, not for one that it redirects to
            request.add_unredirected_header("Authorization", "Bearer " + args.key)
        return urllib.request.urlopen(request, timeout=60)
    code = 0
    for name, data in replies or [(args.url, None)]:
        try:
            sys.stdout.buffer.write(b"%s\n" % (log.all(fetch) if args.all else log.reply(data, own)).encode())
        except (Bad, OSError, ValueError, http.client.HTTPException) as error:
            code = 1 if isinstance(error, Bad) else 3
            print("%s %s: %s" % ("bad" if code == 1 else "unreachable", name, error), file=sys.stderr)
    return code
if __name__ == "__main__":
    sys.exit(main())
