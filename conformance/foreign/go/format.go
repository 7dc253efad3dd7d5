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

// parseProof reads the text of a c2sp.org/tlog-proof.
func parseProof(text []byte) (int64, tlog.RecordProof, []byte, error) {
	fail := func() (int64, tlog.RecordProof, []byte, error) {
		return 0, nil, nil, errors.New("not a tlog-proof")
	}
	head, checkpoint, found := strings.Cut(string(text), "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return fail()
	}
	lines = lines[1:]
	if extra, found := strings.CutPrefix(lines[0], "extra "); found {
		if _, err := base64.StdEncoding.DecodeString(extra); err != nil || len(lines) < 2 {
			return fail()
		}
		lines = lines[1:]
	}
	digits, found := strings.CutPrefix(lines[0], "index ")
	index, err := parseNumber(digits)
	if !found || err != nil {
		return fail()
	}
	path := tlog.RecordProof{}
	for _, line := range lines[1:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return fail()
		}
		path = append(path, hash)
	}
	return index, path, []byte(checkpoint), nil
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
