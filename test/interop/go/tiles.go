package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const tileHeight = 8

var errNotFound = errors.New("404")

type server struct {
	base, bearer string
	client       http.Client
}

func newServer(base, bearer string) *server {
	// No redirects: none of these addresses has another spelling, and the API key is for this server alone.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client := http.Client{Timeout: time.Minute, CheckRedirect: stay}
	return &server{strings.TrimSuffix(base, "/"), bearer, client}
}

func (s *server) get(path string) ([]byte, error) {
	request, err := http.NewRequest(http.MethodGet, s.base+"/"+path, nil)
	if err != nil {
		return nil, err
	}
	if s.bearer != "" {
		request.Header.Set("Authorization", "Bearer "+s.bearer)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	case response.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("%s: %w", path, errNotFound)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: %s", path, response.Status)
	}
	return body, nil
}

// path is that of C2SP tlog-tiles: tlog's own, without the height and with another name for the leaves.
func path(tile tlog.Tile) string {
	path := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", tile.H))
	if rest, ok := strings.CutPrefix(path, "data/"); ok {
		return "tile/entries/" + rest
	}
	return "tile/" + path
}

// getTile fetches a tile or a bundle, and says of which width: the full one may stand in for one that is partial.
func (s *server) getTile(tile tlog.Tile) ([]byte, int, error) {
	body, err := s.get(path(tile))
	if errors.Is(err, errNotFound) && tile.W < 1<<tileHeight {
		tile.W = 1 << tileHeight
		body, err = s.get(path(tile))
	}
	return body, tile.W, err
}

// splitBundle reads exactly width leaves.
func splitBundle(body []byte, width int) ([][]byte, error) {
	var leaves [][]byte
	for range width {
		if len(body) < 2 {
			return nil, errors.New("it ends early")
		}
		length := int(binary.BigEndian.Uint16(body))
		if body = body[2:]; len(body) < length {
			return nil, errors.New("a leaf points past the end")
		}
		leaves, body = append(leaves, body[:length]), body[length:]
	}
	if len(body) > 0 {
		return nil, errors.New("it goes on after the last leaf")
	}
	return leaves, nil
}

// checkTiles derives the root hash from the entry bundles alone, and then compares every tile with what they give.
func checkTiles(verifier note.Verifier, base, bearer string) error {
	log := newServer(base, bearer)
	msg, err := log.get("checkpoint")
	if err != nil {
		return err
	}
	signed, err := openCheckpoint(verifier, string(msg))
	if err != nil {
		return err
	}
	size := int64(signed.size)

	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			hashes[i] = stored[index]
		}
		return hashes, nil
	})
	bundles, read := 0, int64(0)
	for read < size {
		width := min(size-read, 1<<tileHeight)
		body, got, err := log.getTile(tlog.Tile{H: tileHeight, L: -1, N: read >> tileHeight, W: int(width)})
		if err != nil {
			return err
		}
		leaves, err := splitBundle(body, got)
		if err != nil {
			return fmt.Errorf("bundle %d: %w", read>>tileHeight, err)
		}
		for _, leaf := range leaves[:width] {
			hashes, err := tlog.StoredHashes(read, leaf, reader)
			if err != nil {
				return err
			}
			stored = append(stored, hashes...)
			read++
		}
		bundles++
	}
	root, err := tlog.TreeHash(size, reader)
	if err != nil {
		return err
	}
	if !bytes.Equal(root[:], signed.root) {
		return errors.New("the root hash of the bundles is not the signed one")
	}

	tiles := tlog.NewTiles(tileHeight, 0, size)
	for _, tile := range tiles {
		want, err := tlog.ReadTileData(tile, reader)
		if err != nil {
			return err
		}
		body, width, err := log.getTile(tile)
		if err != nil {
			return err
		}
		if len(body) != width*tlog.HashSize || !bytes.Equal(body[:len(want)], want) {
			return fmt.Errorf("%s: not the hashes that the bundles give", path(tile))
		}
	}
	fmt.Printf("%d leaves, %d bundles, %d tiles verified\n", size, bundles, len(tiles))
	return nil
}
