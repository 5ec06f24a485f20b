package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/client"
	"github.com/google/certificate-transparency-go/jsonclient"
	"github.com/google/certificate-transparency-go/tls"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// ctLog is a log as certificate-transparency-go sees it, with its signed tree head and all of its leaves.
type ctLog struct {
	*client.LogClient
	sth    *ct.SignedTreeHead
	leaves [][]byte
	// roots[n] is the root hash of the first n leaves.
	roots [][]byte
}

// checkCT reads the whole log, derives its root hashes, and checks every verb against them.
func checkCT(ctx context.Context, key ed25519.PublicKey, base string) error {
	log := &ctLog{}
	var err error
	if log.LogClient, err = client.New(base, http.DefaultClient, jsonclient.Options{}); err != nil {
		return err
	}
	// The client has been given no key, for its signature check knows no Ed25519.
	if log.sth, err = log.GetSTH(ctx); err != nil {
		return fmt.Errorf("get-sth: %w", err)
	}
	if err := checkSTH(key, log.sth); err != nil {
		return fmt.Errorf("get-sth: %w", err)
	}
	steps := []struct {
		verb  string
		check func(context.Context) error
	}{
		{"get-entries", log.readEntries},
		{"get-sth-consistency", log.checkConsistency},
		{"get-entry-and-proof", log.checkEntryAndProof},
		{"get-proof-by-hash", log.checkProofByHash},
	}
	for _, step := range steps {
		if err := step.check(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.verb, err)
		}
	}
	fmt.Printf("%d leaves verified under the tree head of %d\n", len(log.leaves), log.sth.Timestamp)
	return nil
}

// checkSTH leaves the signed bytes to the client library and the signature to Go.
func checkSTH(key ed25519.PublicKey, sth *ct.SignedTreeHead) error {
	algorithm := sth.TreeHeadSignature.Algorithm
	if algorithm != (tls.SignatureAndHashAlgorithm{Hash: 8, Signature: 7}) {
		return fmt.Errorf("the algorithm is %d %d, not 8 7", algorithm.Hash, algorithm.Signature)
	}
	message, err := ct.SerializeSTHSignatureInput(*sth)
	if err != nil {
		return err
	}
	if !ed25519.Verify(key, message, sth.TreeHeadSignature.Signature) {
		return errors.New("the signature does not verify")
	}
	return nil
}

func (log *ctLog) readEntries(ctx context.Context) error {
	factory := compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	tree := factory.NewEmptyRange(0)
	log.roots = append(log.roots, rfc6962.DefaultHasher.EmptyRoot())
	for size := log.sth.TreeSize; uint64(len(log.leaves)) < size; {
		reply, err := log.GetRawEntries(ctx, int64(len(log.leaves)), int64(size-1))
		if err != nil {
			return err
		}
		if len(reply.Entries) == 0 {
			return errors.New("an empty answer")
		}
		for _, entry := range reply.Entries {
			log.leaves = append(log.leaves, entry.LeafInput)
			if err := tree.Append(rfc6962.DefaultHasher.HashLeaf(entry.LeafInput), nil); err != nil {
				return err
			}
			root, err := tree.GetRootHash(nil)
			if err != nil {
				return err
			}
			log.roots = append(log.roots, root)
		}
	}
	if !bytes.Equal(log.roots[len(log.leaves)], log.sth.SHA256RootHash[:]) {
		return errors.New("the leaves do not hash to the signed root hash")
	}
	return nil
}

func (log *ctLog) checkConsistency(ctx context.Context) error {
	second := log.sth.TreeSize
	for first := uint64(1); first <= second; first += 1 + first/3 {
		hashes, err := log.GetSTHConsistency(ctx, first, second)
		if err != nil {
			return err
		}
		err = proof.VerifyConsistency(rfc6962.DefaultHasher, first, second, hashes, log.roots[first], log.roots[second])
		if err != nil {
			return fmt.Errorf("from %d to %d: %w", first, second, err)
		}
	}
	return nil
}

func (log *ctLog) checkEntryAndProof(ctx context.Context) error {
	for size := uint64(1); size <= log.sth.TreeSize; size += 1 + size/3 {
		for _, index := range []uint64{0, size / 2, size - 1} {
			reply, err := log.GetEntryAndProof(ctx, index, size)
			if err != nil {
				return err
			}
			if !bytes.Equal(reply.LeafInput, log.leaves[index]) {
				return fmt.Errorf("leaf %d is another one than in get-entries", index)
			}
			hash := rfc6962.DefaultHasher.HashLeaf(reply.LeafInput)
			err = proof.VerifyInclusion(rfc6962.DefaultHasher, index, size, hash, reply.AuditPath, log.roots[size])
			if err != nil {
				return fmt.Errorf("leaf %d in a tree of %d: %w", index, size, err)
			}
		}
	}
	return nil
}

func (log *ctLog) checkProofByHash(ctx context.Context) error {
	for size := uint64(1); size <= log.sth.TreeSize; size += 1 + size/3 {
		for _, index := range []uint64{0, size / 2, size - 1} {
			hash := rfc6962.DefaultHasher.HashLeaf(log.leaves[index])
			reply, err := log.proofByHash(ctx, hash, size)
			if err != nil {
				return err
			}
			if uint64(reply.LeafIndex) != index {
				return fmt.Errorf("leaf %d is said to be %d", index, reply.LeafIndex)
			}
			err = proof.VerifyInclusion(rfc6962.DefaultHasher, index, size, hash, reply.AuditPath, log.roots[size])
			if err != nil {
				return fmt.Errorf("leaf %d in a tree of %d: %w", index, size, err)
			}
		}
	}
	return nil
}

// proofByHash asks again while the index of hashes is still behind.
func (log *ctLog) proofByHash(ctx context.Context, hash []byte, size uint64) (*ct.GetProofByHashResponse, error) {
	for try := 0; ; try++ {
		reply, err := log.GetProofByHash(ctx, hash, size)
		var refusal jsonclient.RspError
		if err == nil || try == 50 || !errors.As(err, &refusal) || refusal.StatusCode != http.StatusServiceUnavailable {
			return reply, err
		}
		time.Sleep(100 * time.Millisecond)
	}
}
