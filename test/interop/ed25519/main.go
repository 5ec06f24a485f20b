// Ed25519 gives the verdict of Go's crypto/ed25519 for each line of standard input, a JSON object with publicKey, message and
// signature in base64: true or false, a line each.
package main

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	decoder := json.NewDecoder(os.Stdin)
	for {
		var claim struct{ PublicKey, Message, Signature []byte }
		err := decoder.Decode(&claim)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil || len(claim.PublicKey) != ed25519.PublicKeySize {
			fmt.Fprintln(os.Stderr, "not a claim:", err)
			os.Exit(2)
		}
		fmt.Println(ed25519.Verify(claim.PublicKey, claim.Message, claim.Signature))
	}
}
