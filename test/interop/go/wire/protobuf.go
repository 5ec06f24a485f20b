package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/bufbuild/protocompile"
	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

const mediaType = "application/x-protobuf"

// protoLog is a log that is spoken to in protobuf only, by the schema as it stands in the repository.
type protoLog struct {
	base, bearer string
	schema       protoreflect.FileDescriptor
}

// message is a decoded message, read by the names of the schema.
type message struct{ protoreflect.Message }

func (m message) value(name string) protoreflect.Value {
	return m.Get(m.Descriptor().Fields().ByName(protoreflect.Name(name)))
}

func (m message) number(name string) uint64 { return m.value(name).Uint() }
func (m message) bytes(name string) []byte  { return m.value(name).Bytes() }
func (m message) text(name string) string   { return m.value(name).String() }

func (m message) hashes(name string) [][]byte {
	list := m.value(name).List()
	var hashes [][]byte
	for i := range list.Len() {
		hashes = append(hashes, list.Get(i).Bytes())
	}
	return hashes
}

// checkProtobuf appends two events and reads back all that has a protobuf form, each proof checked.
func checkProtobuf(ctx context.Context, key ed25519.PublicKey, base, bearer, schema string) error {
	compiler := protocompile.Compiler{Resolver: &protocompile.SourceResolver{}}
	files, err := compiler.Compile(ctx, schema)
	if err != nil {
		return err
	}
	log := &protoLog{base, bearer, files[0]}
	events := [][]byte{[]byte(`{"by":"go","n":1}`), []byte(`{"by":"go","n":2}`)}

	reply, err := log.append(ctx, events)
	if err != nil {
		return fmt.Errorf("append: %w", err)
	}
	head, err := log.treeHead(ctx, key)
	if err != nil {
		return fmt.Errorf("tree-head: %w", err)
	}
	if reply.text("ack") != "signed" || reply.number("tree_size") > head.number("tree_size") {
		return errors.New("append: it was not answered with a signed head")
	}
	entries := reply.value("entries").List()
	if entries.Len() != len(events) {
		return fmt.Errorf("append: %d entries for %d events", entries.Len(), len(events))
	}
	if err := log.checkConsistency(ctx, reply, head); err != nil {
		return fmt.Errorf("proofs/consistency: %w", err)
	}
	for i, event := range events {
		appended := message{entries.Get(i).Message()}
		if err := log.checkEntry(ctx, event, appended, reply, head); err != nil {
			return fmt.Errorf("entry %d: %w", appended.number("leaf_index"), err)
		}
	}
	fmt.Printf("%d entries verified in protobuf\n", len(events))
	return nil
}

func (log *protoLog) append(ctx context.Context, events [][]byte) (message, error) {
	request := dynamicpb.NewMessage(log.schema.Messages().ByName("AppendRequest"))
	list := request.Mutable(request.Descriptor().Fields().ByName("events")).List()
	for _, event := range events {
		list.Append(protoreflect.ValueOfBytes(event))
	}
	body, err := proto.Marshal(request)
	if err != nil {
		return message{}, err
	}
	return log.call(ctx, http.MethodPost, "events?ack=signed", body, "AppendReply")
}

// treeHead is the newest head; its timestamp is in microseconds here and signed in milliseconds.
func (log *protoLog) treeHead(ctx context.Context, key ed25519.PublicKey) (message, error) {
	head, err := log.call(ctx, http.MethodGet, "tree-head", nil, "SignedTreeHead")
	if err != nil {
		return head, err
	}
	sth := ct.SignedTreeHead{TreeSize: head.number("tree_size"), Timestamp: head.number("timestamp") / 1000}
	copy(sth.SHA256RootHash[:], head.bytes("root_hash"))
	rest, err := tls.Unmarshal(head.bytes("signature"), (*tls.DigitallySigned)(&sth.TreeHeadSignature))
	if err != nil || len(rest) > 0 {
		return head, fmt.Errorf("the signature is malformed: %v", err)
	}
	return head, checkSTH(key, &sth)
}

// checkConsistency proves the head of an append reply, whose root hash its first entry gives, to be an older one of the newest.
func (log *protoLog) checkConsistency(ctx context.Context, reply, head message) error {
	first, second := reply.number("tree_size"), head.number("tree_size")
	entry := message{reply.value("entries").List().Get(0).Message()}
	firstRoot, err := proof.RootFromInclusionProof(rfc6962.DefaultHasher, entry.number("leaf_index"), first,
		entry.bytes("leaf_hash"), entry.hashes("proof"))
	if err != nil {
		return err
	}
	path := fmt.Sprintf("proofs/consistency?first=%d&second=%d", first, second)
	found, err := log.call(ctx, http.MethodGet, path, nil, "ConsistencyProof")
	if err != nil {
		return err
	}
	if found.number("first") != first || found.number("second") != second {
		return errors.New("it is one of other sizes")
	}
	return proof.VerifyConsistency(rfc6962.DefaultHasher, first, second, found.hashes("proof"), firstRoot,
		head.bytes("root_hash"))
}

func (log *protoLog) checkEntry(ctx context.Context, event []byte, appended, reply, head message) error {
	index, size := appended.number("leaf_index"), head.number("tree_size")
	entry, err := log.call(ctx, http.MethodGet, fmt.Sprintf("events/%d", index), nil, "Entry")
	if err != nil {
		return err
	}
	hash := rfc6962.DefaultHasher.HashLeaf(entry.bytes("leaf"))
	for _, name := range []protoreflect.Name{"salt", "header", "leaf_hash"} {
		if !bytes.Equal(entry.bytes(string(name)), appended.bytes(string(name))) {
			return fmt.Errorf("%s is another one than in the append reply", name)
		}
	}
	received := entry.number("received_at")
	switch {
	case !bytes.Equal(entry.bytes("event"), event):
		return errors.New("the event is another one")
	case entry.number("leaf_index") != index || received != appended.number("received_at"):
		return errors.New("index or time differ from the append reply")
	case received>>32 == 0:
		return errors.New("the time is not one in microseconds")
	case !bytes.Equal(hash, entry.bytes("leaf_hash")):
		return errors.New("the leaf hash is not that of the leaf")
	case reply.text("checkpoint") == "" || entry.text("checkpoint") == "":
		return errors.New("a checkpoint is missing")
	}
	included, err := log.call(ctx, http.MethodGet,
		fmt.Sprintf("proofs/inclusion?index=%d&tree_size=%d", index, size), nil, "InclusionProof")
	if err != nil {
		return err
	}
	if !bytes.Equal(included.bytes("root_hash"), head.bytes("root_hash")) {
		return errors.New("the inclusion proof has another root hash")
	}
	return proof.VerifyInclusion(rfc6962.DefaultHasher, index, size, hash, included.hashes("proof"),
		head.bytes("root_hash"))
}

// call refuses an answer that is not exactly the message: what the schema does not name would be left over.
func (log *protoLog) call(ctx context.Context, method, path string, body []byte, name string) (message, error) {
	request, err := http.NewRequestWithContext(ctx, method, log.base+"/"+path, bytes.NewReader(body))
	if err != nil {
		return message{}, err
	}
	request.Header.Set("Accept", mediaType)
	request.Header.Set("Authorization", "Bearer "+log.bearer)
	if body != nil {
		request.Header.Set("Content-Type", mediaType)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return message{}, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return message{}, err
	}
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != mediaType {
		var problem struct{ Code string }
		_ = json.Unmarshal(answer, &problem)
		return message{}, fmt.Errorf("%s: %s %s", path, response.Status, problem.Code)
	}
	decoded := dynamicpb.NewMessage(log.schema.Messages().ByName(protoreflect.Name(name)))
	if err := proto.Unmarshal(answer, decoded); err != nil {
		return message{}, fmt.Errorf("%s: %w", path, err)
	}
	if len(decoded.GetUnknown()) > 0 {
		return message{}, fmt.Errorf("%s: fields that the schema does not name", path)
	}
	return message{decoded}, nil
}
