package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
	fileMax    = tileWidth * (2 + 65535)
)

// A reader gives the files of a log by their path; an error that is
// fs.ErrNotExist where there is none.
type reader interface {
	read(path string) ([]byte, error)
}

type folder string
type server string

func source(where string) reader {
	if strings.HasPrefix(where, "http://") || strings.HasPrefix(where, "https://") {
		return server(strings.TrimSuffix(where, "/"))
	}
	return folder(where)
}

func (f folder) read(path string) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(f), filepath.FromSlash(path)))
}

func (s server) read(path string) ([]byte, error) {
	res, err := http.Get(string(s) + "/" + path)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
		return io.ReadAll(io.LimitReader(res.Body, fileMax))
	case http.StatusNotFound:
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	default:
		return nil, fmt.Errorf("%s: %s", path, res.Status)
	}
}

// tilePath is the path of c2sp.org/tlog-tiles; the checksum database's own
// has the height in it and another order.
func tilePath(kind string, n int64, width int) string {
	path := fmt.Sprintf("%03d", n%1000)
	for n >= 1000 {
		n /= 1000
		path = fmt.Sprintf("x%03d/%s", n%1000, path)
	}
	if width < tileWidth {
		path = fmt.Sprintf("%s.p/%d", path, width)
	}
	return "tile/" + kind + "/" + path
}

// readTile reads a tile or bundle, or the full one that took its place.
func readTile(src reader, kind string, n int64, width int) (data []byte, full bool, err error) {
	path := tilePath(kind, n, width)
	data, err = src.read(path)
	if errors.Is(err, fs.ErrNotExist) && width < tileWidth {
		data, err = src.read(tilePath(kind, n, tileWidth))
		return data, true, err
	}
	return data, width == tileWidth, err
}

func readBundle(src reader, n, size int64) ([][]byte, error) {
	width := int(min(size-n*tileWidth, tileWidth))
	data, full, err := readTile(src, "entries", n, width)
	if err != nil {
		return nil, err
	}
	held := width
	if full {
		held = tileWidth
	}
	entries, err := splitBundle(data, held)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", tilePath("entries", n, held), err)
	}
	return entries[:width], nil
}

// tiles gives the tiles of a tree to tlog, and remembers those above level 0.
type tiles struct {
	src  reader
	kept map[tlog.Tile][]byte
}

func newTiles(src reader) *tiles {
	return &tiles{src: src, kept: map[tlog.Tile][]byte{}}
}

func (t *tiles) Height() int { return tileHeight }

func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	all := make([][]byte, len(wanted))
	for i, tile := range wanted {
		if data, found := t.kept[tile]; found {
			all[i] = data
			continue
		}
		data, full, err := readTile(t.src, fmt.Sprint(tile.L), tile.N, tile.W)
		if err != nil {
			return nil, err
		}
		length := tile.W * tlog.HashSize
		if full && len(data) == tileWidth*tlog.HashSize {
			data = data[:length]
		}
		if len(data) != length {
			return nil, fmt.Errorf("%s: %d bytes instead of %d", tilePath(fmt.Sprint(tile.L), tile.N, tile.W), len(data), length)
		}
		all[i] = data
	}
	return all, nil
}

func (t *tiles) SaveTiles(read []tlog.Tile, data [][]byte) {
	for i, tile := range read {
		if tile.L > 0 {
			t.kept[tile] = data[i]
		}
	}
}

// edge is a tree of which only the last hash of each level is remembered,
// which is all that tlog asks for in order to append to it.
type edge map[int]tlog.Hash

func newEdge() edge { return edge{} }

func (e edge) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		level, _ := tlog.SplitStoredHashIndex(index)
		hashes[i] = e[level]
	}
	return hashes, nil
}

func (e edge) add(at int64, entry []byte) error {
	hashes, err := tlog.StoredHashes(at, entry, e)
	for level, hash := range hashes {
		e[level] = hash
	}
	return err
}
