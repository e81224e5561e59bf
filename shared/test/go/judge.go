// A judge for our note, checkpoint, proof and tile code: Go's own x/mod/sumdb.
//
//	judge make DIR    writes a key, a log of 300 records, tiles and proofs for ours to check
//	judge check DIR   checks what ours wrote in the same places
//	judge sizes DIR   checks a log's folder as of every checkpoint in DIR/checkpoints (sizes.go)
//	judge large DIR   checks roots and proofs of large trees (sizes.go)
//
// Files in DIR: vkey, checkpoint, tile/…, proofs.json {size, inclusion, consistency}, and
// records are "record <i>". Numbers of a proof are those of RFC 6962.
package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	origin = "example.org/log"
	size   = 300
	height = 8
)

type inclusion struct {
	Index int64       `json:"index"`
	Size  int64       `json:"size"`
	Proof []tlog.Hash `json:"proof"`
}

type consistency struct {
	Old   int64       `json:"old"`
	New   int64       `json:"new"`
	Proof []tlog.Hash `json:"proof"`
}

type proofs struct {
	Inclusion   []inclusion   `json:"inclusion"`
	Consistency []consistency `json:"consistency"`
}

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("usage: judge make|check|sizes|large DIR"))
	}
	dir := os.Args[2]
	switch os.Args[1] {
	case "make":
		makeLog(dir)
	case "check":
		checkLog(dir)
	case "sizes":
		checkSizes(dir)
	case "large":
		checkLarge(dir)
	default:
		fail(fmt.Errorf("unknown verb %q", os.Args[1]))
	}
	fmt.Println("ok")
}

func record(i int64) []byte { return []byte(fmt.Sprintf("record %d", i)) }

// The whole tree in Go's own storage order.
type storage []tlog.Hash

func (s storage) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		out[i] = s[index]
	}
	return out, nil
}

func tree() storage { return treeOf(size) }

func treeOf(n int64) storage {
	s := make(storage, 0, 2*n)
	for i := int64(0); i < n; i++ {
		hashes, err := tlog.StoredHashes(i, record(i), s)
		check(err)
		s = append(s, hashes...)
	}
	return s
}

// Go's paths carry the tile height, C2SP's don't: tile/8/0/000 is tile/0/000.
func path(dir string, t tlog.Tile) string {
	return filepath.Join(dir, "tile", strings.TrimPrefix(t.Path(), fmt.Sprintf("tile/%d/", t.H)))
}

func makeLog(dir string) {
	skey, vkey, err := note.GenerateKey(rand.Reader, origin)
	check(err)
	signer, err := note.NewSigner(skey)
	check(err)
	s := tree()
	root, err := tlog.TreeHash(size, s)
	check(err)
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", origin, size, root)}, signer)
	check(err)
	write(filepath.Join(dir, "vkey"), []byte(vkey))
	write(filepath.Join(dir, "checkpoint"), signed)
	for _, t := range tlog.NewTiles(height, 0, size) {
		data, err := tlog.ReadTileData(t, s)
		check(err)
		write(path(dir, t), data)
	}
	var p proofs
	for i := int64(0); i < size; i++ {
		proof, err := tlog.ProveRecord(size, i, s)
		check(err)
		p.Inclusion = append(p.Inclusion, inclusion{i, size, proof})
		if i > 0 {
			proof, err := tlog.ProveTree(size, i, s)
			check(err)
			p.Consistency = append(p.Consistency, consistency{i, size, proof})
		}
	}
	data, err := json.Marshal(p)
	check(err)
	write(filepath.Join(dir, "proofs.json"), data)
}

type tiles struct{ dir string }

func (t tiles) Height() int { return height }

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, tile := range wanted {
		data, err := os.ReadFile(path(t.dir, tile))
		if err != nil {
			return nil, err
		}
		out = append(out, data)
	}
	return out, nil
}

func checkLog(dir string) {
	verifier, err := note.NewVerifier(string(read(filepath.Join(dir, "vkey"))))
	check(err)
	signed := read(filepath.Join(dir, "checkpoint"))
	opened, err := note.Open(signed, note.VerifierList(verifier))
	check(err)
	if len(opened.Sigs) != 1 || len(opened.UnverifiedSigs) != 1 {
		fail(fmt.Errorf("%d signatures, %d unverified: expected the log's, and a cosignature", len(opened.Sigs), len(opened.UnverifiedSigs)))
	}
	// A checkpoint is Go's tree note but for its first line.
	parsed, err := tlog.ParseTree([]byte(strings.Replace(opened.Text, origin, "go.sum database tree", 1)))
	check(err)
	s := tree()
	root, err := tlog.TreeHash(parsed.N, s)
	check(err)
	if parsed.N != size || parsed.Hash != root {
		fail(fmt.Errorf("tree %d %s, expected %d %s", parsed.N, parsed.Hash, size, root))
	}
	// This reader authenticates every tile against the tree hash.
	reader := tlog.TileHashReader(parsed, tiles{dir})
	for i := int64(0); i < size; i++ {
		hashes, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, i)})
		check(err)
		if hashes[0] != tlog.RecordHash(record(i)) {
			fail(fmt.Errorf("tiles give another hash for record %d", i))
		}
	}
	var p proofs
	check(json.Unmarshal(read(filepath.Join(dir, "proofs.json")), &p))
	if len(p.Inclusion) != size || len(p.Consistency) != size-1 {
		fail(fmt.Errorf("%d inclusion and %d consistency proofs", len(p.Inclusion), len(p.Consistency)))
	}
	for _, in := range p.Inclusion {
		check(tlog.CheckRecord(in.Proof, in.Size, root, in.Index, tlog.RecordHash(record(in.Index))))
	}
	for _, c := range p.Consistency {
		old, err := tlog.TreeHash(c.Old, s)
		check(err)
		check(tlog.CheckTree(c.Proof, c.New, root, c.Old, old))
	}
}

func read(path string) []byte {
	data, err := os.ReadFile(path)
	check(err)
	return data
}

func write(path string, data []byte) {
	check(os.MkdirAll(filepath.Dir(path), 0o755))
	check(os.WriteFile(path, data, 0o644))
}

func check(err error) {
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "judge:", err)
	os.Exit(1)
}
