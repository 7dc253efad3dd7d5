package main

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

var errCheckpoint = errors.New("not a checkpoint: want origin, size, root")

// openCheckpoint verifies a c2sp.org/tlog-checkpoint whose origin is the
// name of the key.
func openCheckpoint(text []byte, verifier note.Verifier) (tlog.Tree, error) {
	signed, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[3] != "" || lines[0] != verifier.Name() {
		return tlog.Tree{}, errCheckpoint
	}
	size, err := parseNumber(lines[1])
	if err != nil {
		return tlog.Tree{}, errCheckpoint
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return tlog.Tree{}, errCheckpoint
	}
	return tlog.Tree{N: size, Hash: root}, nil
}

// A proof is the content of a c2sp.org/tlog-proof.
type proof struct {
	extra      []byte
	index      int64
	path       tlog.RecordProof
	checkpoint []byte
}

var errProof = errors.New("not a tlog-proof")

// parseProof reads the text of a c2sp.org/tlog-proof. Base64 is read strictly,
// so that one proof has one text.
func parseProof(text []byte) (proof, error) {
	head, checkpoint, found := strings.Cut(string(text), "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return proof{}, errProof
	}
	read := proof{checkpoint: []byte(checkpoint), path: tlog.RecordProof{}}
	lines = lines[1:]
	if encoded, found := strings.CutPrefix(lines[0], "extra "); found {
		extra, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if err != nil || len(lines) < 2 || strings.ContainsAny(encoded, "\r\n") {
			return proof{}, errProof
		}
		read.extra = extra
		lines = lines[1:]
	}
	digits, found := strings.CutPrefix(lines[0], "index ")
	index, err := parseNumber(digits)
	if !found || err != nil {
		return proof{}, errProof
	}
	read.index = index
	for _, line := range lines[1:] {
		hash, err := tlog.ParseHash(line)
		if err != nil || hash.String() != line {
			return proof{}, errProof
		}
		read.path = append(read.path, hash)
	}
	return read, nil
}

func parseNumber(digits string) (int64, error) {
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != digits {
		return 0, fmt.Errorf("not a number: %q", digits)
	}
	return n, nil
}

// splitBundle reads exactly width entries.
func splitBundle(data []byte, width int) ([][]byte, error) {
	entries := make([][]byte, 0, width)
	for len(data) > 0 {
		if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
			return nil, fmt.Errorf("cut within entry %d", len(entries))
		}
		end := 2 + int(binary.BigEndian.Uint16(data))
		entries = append(entries, data[2:end])
		data = data[end:]
	}
	if len(entries) != width {
		return nil, fmt.Errorf("%d entries instead of %d", len(entries), width)
	}
	return entries, nil
}
