// A log at every size, and trees of large ones.
//
//	sizes: DIR/vkey, DIR/checkpoints/<n>, DIR/proofs/<n>.json, DIR/tile/… with its entry bundles
//	large: DIR/large.json, a list of {size, root, inclusion, consistency}; records are "record <i>"
package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// The records of a log of n, out of the bundles that such a log has.
func readEntries(dir string, n int64) [][]byte {
	var out [][]byte
	for bundle := int64(0); bundle*256 < n; bundle++ {
		width := n - bundle*256
		if width > 256 {
			width = 256
		}
		t := tlog.Tile{H: height, L: -1, N: bundle, W: int(width)}
		data := read(filepath.Join(dir, "tile", "entries", strings.TrimPrefix(t.Path(), "tile/8/data/")))
		for i := int64(0); i < width; i++ {
			length := int(binary.BigEndian.Uint16(data))
			out = append(out, data[2:2+length])
			data = data[2+length:]
		}
		if len(data) != 0 {
			fail(fmt.Errorf("%d bytes behind the last entry of %s", len(data), t.Path()))
		}
	}
	return out
}

func checkSizes(dir string) {
	verifier, err := note.NewVerifier(string(read(filepath.Join(dir, "vkey"))))
	check(err)
	names, err := os.ReadDir(filepath.Join(dir, "checkpoints"))
	check(err)
	for _, name := range names {
		n, err := strconv.ParseInt(name.Name(), 10, 64)
		check(err)
		opened, err := note.Open(read(filepath.Join(dir, "checkpoints", name.Name())), note.VerifierList(verifier))
		check(err)
		parsed, err := tlog.ParseTree([]byte(strings.Replace(opened.Text, verifier.Name(), "go.sum database tree", 1)))
		check(err)
		var s storage
		for i, entry := range readEntries(dir, n) {
			hashes, err := tlog.StoredHashes(int64(i), entry, s)
			check(err)
			s = append(s, hashes...)
		}
		root, err := tlog.TreeHash(n, s)
		check(err)
		if n == 0 {
			root = sha256.Sum256(nil) // RFC 6962 section 2.1; older versions of tlog give zeros
		}
		if parsed.N != n || parsed.Hash != root {
			fail(fmt.Errorf("size %d: the checkpoint says %d %s, the entries give %s", n, parsed.N, parsed.Hash, root))
		}
		for _, t := range tlog.NewTiles(height, 0, n) {
			data, err := tlog.ReadTileData(t, s)
			check(err)
			if string(data) != string(read(path(dir, t))) {
				fail(fmt.Errorf("size %d: %s differs", n, t.Path()))
			}
		}
		reader := tlog.TileHashReader(parsed, tiles{dir})
		for i := int64(0); i < n; i++ {
			_, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, i)})
			check(err)
		}
		var p proofs
		check(json.Unmarshal(read(filepath.Join(dir, "proofs", name.Name()+".json")), &p))
		checkProofs(p, n, root, s)
	}
	fmt.Printf("%d sizes\n", len(names))
}

func checkProofs(p proofs, n int64, root tlog.Hash, s storage) {
	for _, in := range p.Inclusion {
		check(tlog.CheckRecord(in.Proof, n, root, in.Index, s[tlog.StoredHashIndex(0, in.Index)]))
	}
	for _, c := range p.Consistency {
		old, err := tlog.TreeHash(c.Old, s)
		check(err)
		check(tlog.CheckTree(c.Proof, n, root, c.Old, old))
	}
}

func checkLarge(dir string) {
	var all []struct {
		Size int64     `json:"size"`
		Root tlog.Hash `json:"root"`
		proofs
	}
	check(json.Unmarshal(read(filepath.Join(dir, "large.json")), &all))
	sort.Slice(all, func(i, j int) bool { return all[i].Size < all[j].Size })
	s := treeOf(all[len(all)-1].Size)
	for _, one := range all {
		root, err := tlog.TreeHash(one.Size, s)
		check(err)
		if root != one.Root {
			fail(fmt.Errorf("size %d: root %s, expected %s", one.Size, one.Root, root))
		}
		checkProofs(one.proofs, one.Size, root, s)
	}
	fmt.Printf("%d sizes\n", len(all))
}
