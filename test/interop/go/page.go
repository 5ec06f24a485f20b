package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

const (
	maxNumber = 1<<53 - 1
	maxProof  = 53
)

var (
	decimal   = regexp.MustCompile(`^(0|[1-9][0-9]{0,15})$`)
	keyID     = regexp.MustCompile(`^[0-9a-f]{8}$`)
	surrogate = regexp.MustCompile(`\\+u[dD][89a-fA-F][0-9a-fA-F]{2}`)
)

func parseDecimal(text string) (uint64, error) {
	if !decimal.MatchString(text) {
		return 0, fmt.Errorf("%q is not a decimal", text)
	}
	value, err := strconv.ParseUint(text, 10, 64)
	if err != nil || value > maxNumber {
		return 0, fmt.Errorf("%q is above 2^53 - 1", text)
	}
	return value, nil
}

// decodeBase64 encodes the result again, because the decoder skips line ends. A size of -1 is any size.
func decodeBase64(text string, size int) ([]byte, error) {
	data, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || base64.StdEncoding.EncodeToString(data) != text {
		return nil, fmt.Errorf("%q is not canonical base64", text)
	}
	if size >= 0 && len(data) != size {
		return nil, fmt.Errorf("%q has %d bytes, not %d", text, len(data), size)
	}
	return data, nil
}

// readKey checks what note.NewVerifier and crypto/ed25519 let pass: capital digits, loose base64, odd points.
func readKey(vkey string) (note.Verifier, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, errors.New("it does not have three parts")
	}
	if len(parts[0]) > 255 || strings.IndexFunc(parts[0], func(r rune) bool { return r < 0x20 }) >= 0 {
		return nil, errors.New("it has no valid name")
	}
	if !keyID.MatchString(parts[1]) {
		return nil, errors.New("the key ID is not 8 lowercase hex digits")
	}
	key, err := decodeBase64(parts[2], 33)
	if err != nil {
		return nil, err
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, err
	}
	return verifier, checkPoint(key[1:])
}

// checkPoint is rule 1 of the page's section on signatures.
func checkPoint(key []byte) error {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	one := big.NewInt(1)
	mul := func(a, b *big.Int) *big.Int { c := new(big.Int).Mul(a, b); return c.Mod(c, p) }
	add := func(a, b *big.Int) *big.Int { c := new(big.Int).Add(a, b); return c.Mod(c, p) }
	sub := func(a, b *big.Int) *big.Int { c := new(big.Int).Sub(a, b); return c.Mod(c, p) }
	div := func(a, b *big.Int) *big.Int { return mul(a, new(big.Int).ModInverse(b, p)) }
	d := div(sub(p, big.NewInt(121665)), big.NewInt(121666))

	reversed := make([]byte, len(key))
	for i, b := range key {
		reversed[len(key)-1-i] = b
	}
	sign := reversed[0] >> 7
	reversed[0] &= 0x7f
	y := new(big.Int).SetBytes(reversed)
	if y.Cmp(p) >= 0 {
		return errors.New("public key: y is not below p")
	}
	x := new(big.Int).ModSqrt(div(sub(mul(y, y), one), add(mul(d, mul(y, y)), one)), p)
	if x == nil {
		return errors.New("public key: no point of the curve has this y")
	}
	if x.Sign() == 0 && sign == 1 {
		return errors.New("public key: the sign bit is set although x is 0")
	}
	// Which of the two roots x is does not matter: a point and its negative have the same order.
	for range 3 {
		xy, xx, yy := mul(x, y), mul(x, x), mul(y, y)
		t := mul(d, mul(xx, yy))
		x, y = div(add(xy, xy), add(one, t)), div(add(yy, xx), sub(one, t))
	}
	if x.Sign() == 0 && y.Cmp(one) == 0 {
		return errors.New("public key: small order")
	}
	return nil
}

func parseCheckpoint(origin, text string) (*checkpoint, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 3 {
		return nil, errors.New("checkpoint: fewer than three lines")
	}
	for _, line := range lines {
		if line == "" {
			return nil, errors.New("checkpoint: an empty line")
		}
	}
	if lines[0] != origin {
		return nil, fmt.Errorf("checkpoint: the origin is %q, not the name of the key", lines[0])
	}
	size, err := parseDecimal(lines[1])
	if err != nil {
		return nil, fmt.Errorf("checkpoint: tree size: %w", err)
	}
	root, err := decodeBase64(lines[2], sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: root hash: %w", err)
	}
	if size == 0 && !bytes.Equal(root, rfc6962.DefaultHasher.EmptyRoot()) {
		return nil, errors.New("checkpoint: size 0 with another root hash")
	}
	return &checkpoint{size, root}, nil
}

// members is a JSON object with its values unread: decoding into a struct would ignore the case of names and take null
// for anything.
type members map[string]json.RawMessage

func parseObject(data []byte) (members, error) {
	var object members
	if !utf8.Valid(data) {
		return nil, errors.New("not UTF-8")
	}
	if err := json.Unmarshal(data, &object); err != nil {
		return nil, err
	}
	if object == nil {
		return nil, errors.New("not a JSON object")
	}
	return object, nil
}

func parseString(raw json.RawMessage) (string, error) {
	var text string
	if len(raw) == 0 || raw[0] != '"' {
		return "", errors.New("missing or not a string")
	}
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", err
	}
	// The decoder makes U+FFFD of half a surrogate pair, which is not the text that was sent.
	if strings.ContainsRune(text, utf8.RuneError) && surrogate.Match(raw) {
		return "", errors.New("half a surrogate pair")
	}
	return text, nil
}

func (m members) text(name string) (string, error) {
	text, err := parseString(m[name])
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return text, nil
}

func (m members) number(name string) (uint64, error) {
	value, err := parseDecimal(string(m[name]))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return value, nil
}

func (m members) bytes(name string, size int) ([]byte, error) {
	text, err := m.text(name)
	if err != nil {
		return nil, err
	}
	data, err := decodeBase64(text, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return data, nil
}

func (m members) proof() ([][]byte, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(m["proof"], &list); err != nil || list == nil {
		return nil, errors.New("proof: missing or not a list")
	}
	if len(list) > maxProof {
		return nil, errors.New("proof: too long")
	}
	hashes := make([][]byte, len(list))
	for i, raw := range list {
		text, err := parseString(raw)
		if err != nil {
			return nil, fmt.Errorf("proof: %w", err)
		}
		if hashes[i], err = decodeBase64(text, sha256.Size); err != nil {
			return nil, fmt.Errorf("proof: %w", err)
		}
	}
	return hashes, nil
}

func parseTime(text string) (uint64, error) {
	const form = "2006-01-02T15:04:05.000000Z"
	value, err := time.Parse(form, text)
	if err != nil || value.Format(form) != text {
		return 0, fmt.Errorf("received_at: %q is not a valid time", text)
	}
	if micros := value.UnixMicro(); micros >= 0 && micros <= maxNumber {
		return uint64(micros), nil
	}
	return 0, errors.New("received_at: out of range")
}

// checkObject wants the text of one JSON object, from brace to brace.
func checkObject(data []byte) error {
	if len(data) == 0 || data[0] != '{' || data[len(data)-1] != '}' {
		return errors.New("not from brace to brace")
	}
	_, err := parseObject(data)
	return err
}

// entryLeaf makes the leaf of a reply from its parts.
func entryLeaf(origin string, reply members) ([]byte, error) {
	event, err := reply.bytes("event_base64", -1)
	if err != nil {
		return nil, err
	}
	header, err := reply.bytes("header_base64", -1)
	if err != nil {
		return nil, err
	}
	salt, err := reply.bytes("salt", 32)
	if err != nil {
		return nil, err
	}
	if len(header) > 1024 {
		return nil, fmt.Errorf("header: %d bytes", len(header))
	}
	if err := checkObject(header); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if err := checkObject(event); err != nil {
		return nil, fmt.Errorf("event: %w", err)
	}
	received, err := reply.text("received_at")
	if err != nil {
		return nil, err
	}
	micros, err := parseTime(received)
	if err != nil {
		return nil, err
	}

	originHash := sha256.Sum256([]byte(origin))
	covered := append([]byte{0x02}, originHash[:]...)
	covered = append(covered, salt...)
	covered = binary.BigEndian.AppendUint16(covered, uint16(len(header)))
	covered = append(covered, header...)
	covered = append(covered, event...)
	commitment := sha256.Sum256(covered)

	leaf := binary.BigEndian.AppendUint64([]byte{0x01}, micros)
	return append(leaf, commitment[:]...), nil
}

func checkReply(verifier note.Verifier, line []byte) error {
	reply, err := parseObject(line)
	if err != nil {
		return err
	}
	if event, ok := reply["event"]; ok && event[0] != '{' {
		return errors.New("event: not a JSON object")
	}
	msg, err := reply.text("checkpoint")
	if err != nil {
		return err
	}
	signed, err := openCheckpoint(verifier, msg)
	if err != nil {
		return err
	}
	size, err := reply.number("tree_size")
	if err != nil {
		return err
	}
	if size != signed.size {
		return errors.New("tree_size: not that of the checkpoint")
	}
	index, err := reply.number("leaf_index")
	if err != nil {
		return err
	}
	leaf, err := entryLeaf(verifier.Name(), reply)
	if err != nil {
		return err
	}
	if claimed, err := reply.bytes("leaf", 41); err != nil {
		return err
	} else if !bytes.Equal(claimed, leaf) {
		return errors.New("leaf: not the one computed")
	}
	leafHash := rfc6962.DefaultHasher.HashLeaf(leaf)
	if claimed, err := reply.bytes("leaf_hash", sha256.Size); err != nil {
		return err
	} else if !bytes.Equal(claimed, leafHash) {
		return errors.New("leaf_hash: not the one computed")
	}
	hashes, err := reply.proof()
	if err != nil {
		return err
	}
	err = proof.VerifyInclusion(rfc6962.DefaultHasher, index, size, leafHash, hashes, signed.root)
	return proofError("inclusion proof", err)
}

func checkConsistency(verifier note.Verifier, line []byte) error {
	input, err := parseObject(line)
	if err != nil {
		return err
	}
	var ends [2]*checkpoint
	for i, name := range []string{"first", "second"} {
		msg, err := input.text(name + "_checkpoint")
		if err != nil {
			return err
		}
		if ends[i], err = openCheckpoint(verifier, msg); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		size, err := input.number(name)
		if err != nil {
			return err
		}
		if size != ends[i].size {
			return fmt.Errorf("%s: not the size of its checkpoint", name)
		}
	}
	hashes, err := input.proof()
	if err != nil {
		return err
	}
	first, second := ends[0], ends[1]
	err = proof.VerifyConsistency(rfc6962.DefaultHasher, first.size, second.size, hashes, first.root, second.root)
	return proofError("consistency proof", err)
}

// proofError keeps the reason on one line: the library prints both root hashes, byte by byte.
func proofError(what string, err error) error {
	var mismatch proof.RootMismatchError
	if errors.As(err, &mismatch) {
		return fmt.Errorf("%s: it does not lead to the signed root hash", what)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
