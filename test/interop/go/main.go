// Verify checks the output of an Indelible server with other people's code: golang.org/x/mod for notes and tiles,
// transparency-dev/merkle for proofs. What those do not define is done here after docs/format.md.
//
//	verify -vkey KEY < replies.ndjson                 replies of GET events/<index>
//	verify -vkey KEY -consistency < proofs.ndjson     {"first","second","proof","first_checkpoint","second_checkpoint"}
//	verify -vkey KEY -tiles URL [-bearer KEY]         checkpoint, entry bundles and tiles of the log at that address
//
// It exits with 1 at the first thing that is wrong, and with 2 if it cannot start.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"golang.org/x/mod/sumdb/note"
)

func main() {
	vkey := flag.String("vkey", "", "the log's verifier `key`")
	consistency := flag.Bool("consistency", false, "read consistency proofs with both checkpoints instead of replies")
	tiles := flag.String("tiles", "", "check the tiles and entry bundles of the log at this base `URL`")
	bearer := flag.String("bearer", "", "API `key` for -tiles")
	flag.Parse()
	if flag.NArg() != 0 || (*consistency && *tiles != "") {
		flag.Usage()
		os.Exit(2)
	}
	verifier, err := readKey(*vkey)
	if err != nil {
		fmt.Fprintln(os.Stderr, "verifier key:", err)
		os.Exit(2)
	}
	switch {
	case *tiles != "":
		err = checkTiles(verifier, *tiles, *bearer)
	case *consistency:
		err = eachLine(os.Stdin, func(line []byte) error { return checkConsistency(verifier, line) })
	default:
		err = eachLine(os.Stdin, func(line []byte) error { return checkReply(verifier, line) })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func eachLine(input io.Reader, check func([]byte) error) error {
	reader := bufio.NewReader(input)
	verified := 0
	for number := 1; ; number++ {
		line, err := reader.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(bytes.TrimSpace(line)) > 0 {
			if err := check(line); err != nil {
				return fmt.Errorf("line %d: %w", number, err)
			}
			verified++
		}
		if err != nil {
			fmt.Printf("%d verified\n", verified)
			return nil
		}
	}
}

type checkpoint struct {
	size uint64
	root []byte
}

// openCheckpoint leaves the note to note.Open, but for the one spelling of base64, on which that is lenient.
func openCheckpoint(verifier note.Verifier, msg string) (*checkpoint, error) {
	opened, err := note.Open([]byte(msg), note.VerifierList(verifier))
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	for _, line := range bytes.Split([]byte(msg[len(opened.Text)+1:len(msg)-1]), []byte("\n")) {
		if _, err := decodeBase64(string(line[bytes.LastIndexByte(line, ' ')+1:]), -1); err != nil {
			return nil, fmt.Errorf("checkpoint: signature line: %w", err)
		}
	}
	return parseCheckpoint(verifier.Name(), opened.Text)
}
