// Torchwood verifies the tlog-proof on its standard input with filippo.io/torchwood: exit 0 if it holds for this leaf hash
// under this log's key, 1 if not, 2 if it cannot start.
package main

import (
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"os"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	vkey := flag.String("vkey", "", "the log's verifier `key`")
	leafHash := flag.String("leaf-hash", "", "leaf `hash` in base64")
	flag.Parse()
	verifier, err := note.NewVerifier(*vkey)
	if err != nil {
		fail(2, err)
	}
	bytes, err := base64.StdEncoding.Strict().DecodeString(*leafHash)
	if err != nil || len(bytes) != tlog.HashSize {
		fail(2, fmt.Errorf("not a leaf hash: %q", *leafHash))
	}
	proof, err := io.ReadAll(os.Stdin)
	if err != nil {
		fail(2, err)
	}
	policy := torchwood.ThresholdPolicy(2, torchwood.OriginPolicy(verifier.Name()), torchwood.SingleVerifierPolicy(verifier))
	if err := torchwood.VerifyProof(policy, tlog.Hash(bytes), proof); err != nil {
		fail(1, err)
	}
}

func fail(code int, err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(code)
}
