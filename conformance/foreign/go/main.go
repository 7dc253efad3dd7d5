// Command ledger-check verifies a log laid out as C2SP tlog-tiles with the
// checksum database's own packages note and tlog, and nothing of ours.
//
//	ledger-check -key VKEY [-old CHECKPOINT]... [-proof FILE]... DIR_OR_URL
//	ledger-check -key VKEY -proof FILE...
//
// A proof is verified by itself, for the record that it carries; with a log
// beside it that record must be the log's too.
//
// It exits 0 when everything verifies, 1 when something does not, 2 on misuse.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type list []string

func (l *list) String() string     { return fmt.Sprint(*l) }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func main() {
	key := flag.String("key", "", "verifier `key` of the log (vkey)")
	var old, proofs list
	flag.Var(&old, "old", "earlier signed checkpoint `file` that the log must extend")
	flag.Var(&proofs, "proof", "tlog-proof `file` of an entry of the log")
	flag.Parse()
	alone := flag.NArg() == 0 && len(proofs) > 0 && len(old) == 0
	if *key == "" || flag.NArg() != 1 && !alone {
		flag.Usage()
		os.Exit(2)
	}
	said, err := "", error(nil)
	if alone {
		said, err = checkAlone(*key, proofs)
	} else {
		said, err = check(source(flag.Arg(0)), *key, old, proofs)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ledger-check:", err)
		os.Exit(1)
	}
	fmt.Println(said)
}

// checkAlone verifies proofs without their log.
func checkAlone(key string, proofs []string) (string, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return "", fmt.Errorf("key: %w", err)
	}
	for _, file := range proofs {
		if _, _, err := checkProof(file, verifier); err != nil {
			return "", fmt.Errorf("%s: %w", file, err)
		}
	}
	return fmt.Sprintf("verified %d proofs", len(proofs)), nil
}

func check(src reader, key string, old, proofs []string) (string, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return "", fmt.Errorf("key: %w", err)
	}
	text, err := src.read("checkpoint")
	if err != nil {
		return "", err
	}
	head, err := openCheckpoint(text, verifier)
	if err != nil {
		return "", fmt.Errorf("checkpoint: %w", err)
	}
	tiles := newTiles(src)
	hashes := tlog.TileHashReader(head, tiles)
	if err := checkEntries(src, head, hashes); err != nil {
		return "", err
	}
	if err := checkSample(src, head, hashes); err != nil {
		return "", err
	}
	for _, file := range old {
		if err := checkOld(file, verifier, head, hashes); err != nil {
			return "", fmt.Errorf("%s: %w", file, err)
		}
	}
	for _, file := range proofs {
		if err := checkProofIn(file, verifier, src, head); err != nil {
			return "", fmt.Errorf("%s: %w", file, err)
		}
	}
	return fmt.Sprintf("verified %d entries", head.N), nil
}

// checkEntries recomputes the root from nothing but the entries, and compares
// every leaf hash in the tiles, which the hash reader authenticates through
// all levels, with the entry it stands for.
func checkEntries(src reader, head tlog.Tree, hashes tlog.HashReader) error {
	edge := newEdge()
	for first := int64(0); first < head.N; first += tileWidth {
		entries, err := readBundle(src, first/tileWidth, head.N)
		if err != nil {
			return err
		}
		indexes := make([]int64, len(entries))
		for i := range entries {
			indexes[i] = tlog.StoredHashIndex(0, first+int64(i))
		}
		leaves, err := hashes.ReadHashes(indexes)
		if err != nil {
			return fmt.Errorf("tiles of entries from %d on: %w", first, err)
		}
		for i, entry := range entries {
			at := first + int64(i)
			if tlog.RecordHash(entry) != leaves[i] {
				return fmt.Errorf("entry %d is not the one whose hash is in the tree", at)
			}
			if err := edge.add(at, entry); err != nil {
				return err
			}
		}
	}
	root, err := tlog.TreeHash(head.N, edge)
	if err != nil {
		return err
	}
	if root != head.Hash {
		return fmt.Errorf("the entries have root %v, the checkpoint says %v", root, head.Hash)
	}
	return nil
}

// checkSample proves entries spread over the log, the first and the last.
func checkSample(src reader, head tlog.Tree, hashes tlog.HashReader) error {
	if head.N == 0 {
		return nil
	}
	step := head.N/64 + 1
	for at := int64(0); at < head.N+step; at += step {
		n := min(at, head.N-1)
		proof, err := tlog.ProveRecord(head.N, n, hashes)
		if err != nil {
			return fmt.Errorf("proof of entry %d: %w", n, err)
		}
		entries, err := readBundle(src, n/tileWidth, head.N)
		if err != nil {
			return err
		}
		leaf := tlog.RecordHash(entries[n%tileWidth])
		if err := tlog.CheckRecord(proof, head.N, head.Hash, n, leaf); err != nil {
			return fmt.Errorf("proof of entry %d: %w", n, err)
		}
	}
	return nil
}

// checkOld proves that the log extends an earlier checkpoint of it.
func checkOld(file string, verifier note.Verifier, head tlog.Tree, hashes tlog.HashReader) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	old, err := openCheckpoint(text, verifier)
	if err != nil {
		return err
	}
	if old.N == 0 {
		return nil
	}
	proof, err := tlog.ProveTree(head.N, old.N, hashes)
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, head.N, head.Hash, old.N, old.Hash)
}

// checkProof verifies a tlog-proof for the record in its extra line, and
// returns that record and its index. Nothing but the record that is shown is
// hashed: a proof of another one proves nothing about it.
func checkProof(file string, verifier note.Verifier) (int64, []byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, nil, err
	}
	proof, err := parseProof(text)
	if err != nil {
		return 0, nil, err
	}
	if proof.extra == nil {
		return 0, nil, errors.New("the proof carries no record")
	}
	at, err := openCheckpoint(proof.checkpoint, verifier)
	if err != nil {
		return 0, nil, err
	}
	if err := tlog.CheckRecord(proof.path, at.N, at.Hash, proof.index, tlog.RecordHash(proof.extra)); err != nil {
		return 0, nil, fmt.Errorf("the record in extra is not entry %d: %w", proof.index, err)
	}
	return proof.index, proof.extra, nil
}

// checkProofIn verifies a tlog-proof, and that its record is the log's.
func checkProofIn(file string, verifier note.Verifier, src reader, head tlog.Tree) error {
	index, record, err := checkProof(file, verifier)
	if err != nil {
		return err
	}
	if index >= head.N {
		return fmt.Errorf("the log has no entry %d", index)
	}
	entries, err := readBundle(src, index/tileWidth, head.N)
	if err != nil {
		return err
	}
	if !bytes.Equal(entries[index%tileWidth], record) {
		return fmt.Errorf("the log has another entry %d than the record in extra", index)
	}
	return nil
}
