// Wire reads a running Indelible server with other people's clients: certificate-transparency-go for the verbs of RFC 6962, and
// protobuf with a schema that is read at run time. Proofs are checked with transparency-dev/merkle.
//
//	wire -vkey KEY ct URL                                  the RFC 6962 verbs of the log at that address
//	wire -vkey KEY -bearer KEY -schema FILE protobuf URL   appends and reads in protobuf
//
// It exits with 1 at the first thing that is wrong, and with 2 if it cannot start.
package main

import (
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

func main() {
	vkey := flag.String("vkey", "", "the log's verifier `key`")
	bearer := flag.String("bearer", "", "API `key` for protobuf")
	schema := flag.String("schema", "", "`file` with the protobuf schema")
	flag.Parse()
	key, err := publicKey(*vkey)
	if err != nil {
		fmt.Fprintln(os.Stderr, "verifier key:", err)
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	switch {
	case flag.NArg() == 2 && flag.Arg(0) == "ct":
		err = checkCT(ctx, key, flag.Arg(1))
	case flag.NArg() == 2 && flag.Arg(0) == "protobuf":
		err = checkProtobuf(ctx, key, flag.Arg(1), *bearer, *schema)
	default:
		flag.Usage()
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// publicKey is the Ed25519 key of a verifier key: name, key ID, base64 of algorithm byte and key.
func publicKey(vkey string) ([]byte, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, errors.New("it does not have three parts")
	}
	key, err := base64.StdEncoding.Strict().DecodeString(parts[2])
	if err != nil {
		return nil, err
	}
	if len(key) != 33 || key[0] != 1 {
		return nil, errors.New("it is not one of Ed25519")
	}
	return key[1:], nil
}
